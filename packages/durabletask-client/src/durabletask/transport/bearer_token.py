"""Warn of a bearer token that is sent where others can read it.

It is no error: a network may encrypt by itself what its members send in plain text.

Knows nothing about what the token is for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from durabletask.transport import Metadata
    from durabletask.transport.address import Address

KEY: Final = "authorization"

_log = logging.getLogger("durabletask.transport")


def warn_if_exposed(metadata: Metadata, address: Address) -> None:
    """Warn if the metadata has a token that would leave this machine in plain text."""
    has_token = any(key.lower() == KEY for key, _ in metadata)
    if has_token and not address.secure and not address.is_loopback:
        _log.warning(
            "the token in the metadata goes to %s in plain text, where others can read it: "
            "write https:// before the address, or set secure_channel",
            address,
        )
