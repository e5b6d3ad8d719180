"""A bounded amount that clients hold parts of: places in the queue, bytes of results that wait to be read."""

from __future__ import annotations

from collections import Counter


class Allotment:
    """How much of ``size`` each holder has, and may have.

    A holder with a share of its own may have that part of ``size``; any other may have ``default_share`` of what the rest
    leave, so that something is left however many there are. Everybody may have ``least``, as long as it is free.
    """

    def __init__(self, size: int, default_share: float = 1.0, least: int = 1) -> None:
        self.size = size
        self.default_share = default_share
        self.least = least
        self.taken = 0
        self._held: Counter[str] = Counter()

    def held(self, holder: str) -> int:
        """What a holder has."""
        return self._held[holder]

    def most(self, share: float | None) -> int:
        """What a holder with such a share may have while nobody else has anything."""
        return max(self.least, int((self.default_share if share is None else share) * self.size))

    def allowed(self, holder: str, share: float | None) -> int:
        """What a holder may have now."""
        if share is not None:
            return self.most(share)
        others = self.taken - self.held(holder)
        return max(self.least, int(self.default_share * (self.size - others)))

    def take(self, holder: str, amount: int) -> None:
        """Gives a holder so much more, whatever it is allowed; less than 0 takes it back."""
        self.taken += amount
        self._held[holder] += amount
        if not self._held[holder]:
            del self._held[holder]
