"""What grpc asks at every handshake: whether there is another certificate now."""

from __future__ import annotations

import math
import time

import grpc

from kandinsky_server.security.watched import Watched

QUIET_SECONDS = 0.5
"""Far more than the tenth of a millisecond that grpc needs to take hold of the certificate it was told to use."""


class CertificateFetcher:
    """Answers with a configuration when it is another one than before, and with None otherwise.

    grpc (1.85.1) calls this with a lock held, but takes hold of the answer after letting go of it. A handshake that has
    been answered and is not that far yet crashes the process if another one brings a new configuration, which frees the
    one before. So a new configuration waits until the last handshake that was answered has had `QUIET_SECONDS`; those
    that come in the meantime wait at grpc's lock, and meet the new one.
    """

    def __init__(self, configuration: Watched[grpc.ServerCertificateConfiguration]) -> None:
        self._configuration = configuration
        self._served = configuration.current()
        self._answered = -math.inf

    @property
    def first(self) -> grpc.ServerCertificateConfiguration:
        """What grpc serves until it is told otherwise."""
        return self._served

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificates to use from now on, or None: those from before."""
        configuration = self._configuration.current()
        changed = configuration is not self._served
        if changed:
            time.sleep(max(0.0, self._answered + QUIET_SECONDS - time.monotonic()))
            self._served = configuration
        self._answered = time.monotonic()
        return configuration if changed else None
