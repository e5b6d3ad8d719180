"""Throw-away certificates, where tests look for them."""

from benchmarks.attacks.pki import Pair, authority, issue

__all__ = ["Pair", "authority", "issue"]
