"""Tokens in a transport's metadata: Dapr's API token, and the warning about bearer tokens.

    DAPR_API_TOKEN --metadata dapr-api-token--> an engine that is known or likely to be Dapr's

A token is a secret. The environment's DAPR_API_TOKEN is sent where Dapr's own variables lead,
to this machine, where daprd runs beside its application, and to an engine that the program
itself says is of Dapr's dialect; and nowhere else. Does no I/O: the environment is an argument.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from durabletask.protocol import dialects
from durabletask.transport import address as addresses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    import grpc

    from durabletask.protocol.dialects import Dialect
    from durabletask.transport import Metadata
    from durabletask.transport.address import Address

DAPR_VARIABLE: Final = "DAPR_API_TOKEN"
DAPR_KEY: Final = "dapr-api-token"
BEARER_KEY: Final = "authorization"

_log = logging.getLogger("durabletask.transport")


def metadata_for(
    address: str | None,
    secure: bool | grpc.ChannelCredentials,  # noqa: FBT001 - in the order of the transports
    channel: Any,
    metadata: Sequence[tuple[str, str | bytes]] | None,
    dialect: Dialect | None,
) -> Metadata:
    """The metadata of a transport's calls: what it was given, and Dapr's token where it goes."""
    if channel is not None:
        return ()
    resolved = addresses.resolve(address, secure=secure)
    given = tuple(metadata or ())
    warn_if_exposed(given, resolved)
    return with_api_token(
        given, dialect, is_likely=resolved.is_loopback or addresses.is_of_dapr(address)
    )


def with_api_token(
    metadata: Metadata,
    dialect: Dialect | None,
    *,
    is_likely: bool,
    environment: Mapping[str, str] = os.environ,
) -> Metadata:
    """The metadata, with the environment's token if the engine is Dapr's and none is there.

    `is_likely` says that the address is one where Dapr's engine may be; it counts only where
    no `dialect` was named.
    """
    token = environment.get(DAPR_VARIABLE, "").strip()
    if not token or _has(metadata, DAPR_KEY):
        return metadata
    is_daprs = is_likely if dialect is None else dialect is dialects.DAPR
    return (*metadata, (DAPR_KEY, token)) if is_daprs else metadata


def warn_if_exposed(metadata: Metadata, address: Address) -> None:
    """Warn if the metadata has a bearer token that would leave this machine in plain text.

    It is no error: the network may encrypt what its members send in plain text.
    """
    if _has(metadata, BEARER_KEY) and not address.secure and not address.is_loopback:
        _log.warning(
            "The token in the metadata goes to %s in plain text, where others can read it. "
            "Write https:// before the address, or set secure_channel.",
            address,
            extra={"address": str(address)},
        )


def _has(metadata: Metadata, wanted: str) -> bool:
    return any(key.lower() == wanted for key, _ in metadata)
