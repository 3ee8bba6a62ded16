"""Say what a sidecar is open to, to whoever opens it beyond its own machine.

Pure. Knows nothing about sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import Security


def warnings(host: str, security: Security) -> Iterator[str]:
    """What to tell about a sidecar that listens on this address, which is not loopback."""
    if not security.has_tls:
        yield (
            f"listens on {host} without TLS: whoever is on the way can read and change all "
            "that is sent, tokens too. Give --tls-cert and --tls-key"
        )
    if not security.knows_callers:
        yield (
            f"listens on {host} and lets everybody in: whoever can connect can read and change "
            "all instances. Give --token-file, or --client-ca with TLS"
        )
