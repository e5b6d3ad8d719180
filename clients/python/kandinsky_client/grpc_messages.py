"""gRPC core's own sentences, in words that say what to change.

They are all there is to go by: gRPC has one code, UNAVAILABLE, for a server that is not there and for one whose
certificate is not trusted. `tests/client/test_tls.py` holds each pattern against the real thing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["tls", "unreachable", ""]


@dataclass(frozen=True)
class Explanation:
    """What a message means.

    Args:
        kind: "tls" when both ends disagree on encryption or trust, "unreachable" when nobody is there.
        words: What to tell the user.
    """

    kind: Kind
    words: str


_TABLE: tuple[tuple[str, Kind, str], ...] = (
    (
        r"WRONG_VERSION_NUMBER|HTTP_REQUEST",
        "tls",
        "the server does not speak TLS: connect without tls, or turn it on at the server",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED: ([^:]+)",
        "tls",
        "the server's certificate is not trusted ({0}): give its authority's certificate as root_certificates",
    ),
    (
        r"Hostname Verification",
        "tls",
        "the server's certificate is for another name than the target's: call it by a name in its certificate",
    ),
    (
        r"Failed to create security handshaker",
        "tls",
        "the certificates given cannot be used: check root_certificates, client_certificate and client_key, "
        "all PEM, the key without password",
    ),
    (
        r"(?:TLSV1|SSLV3|TLSV13)_ALERT_(\w+)",
        "tls",
        "the server refused the TLS connection ({0}): it may want a client certificate that its authority signed",
    ),
    (r"Tls handshake failed .*?: (.*)", "tls", "no TLS connection could be agreed on ({0})"),
    (
        r"failed to connect to all addresses.*(Socket closed|Connection reset|Broken pipe|End of TCP stream)",
        "",
        "the server closed the connection at once: it speaks TLS where this client does not, wants a client "
        "certificate that its authority signed, or has no room for more connections",
    ),
    (r"(Domain name not found|hostname lookup error)", "unreachable", ""),
    (r"failed to connect to all addresses|timed out connecting|Failed to pick subchannel", "unreachable", ""),
    (
        r"(?:Received|Sent) message larger than max \((\d+) vs\. (\d+)\)",
        "",
        "a message has {0} bytes and {1} are allowed. Pictures are what is large: a path or a file's own bytes are "
        "sent as they are, a PIL image as PNG; so send the file, a smaller picture, or raise the server's "
        "max_message_bytes",
    ),
)


def explain(message: str) -> Explanation | None:
    """Returns what a message of gRPC core means; None for any other, such as the server's own."""
    for pattern, kind, words in _TABLE:
        if found := re.search(pattern, message, re.DOTALL):
            told = words.format(*found.groups()) if words else f"no server answers ({message})"
            return Explanation(kind, told)
    return None
