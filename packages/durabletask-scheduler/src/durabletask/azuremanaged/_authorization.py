"""Check that a token is safe on the way to the scheduler, and make the interceptors that add it.

Whoever reads a token can use the scheduler, so it is sent over TLS or within this machine only.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from durabletask.transport import address as addresses

from ._tokens import AsyncTokens, Tokens, refuse_for_asyncio, scope_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from azure.core.credentials import TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential


def check_address(host_address: str, *, secure: bool, has_token: bool) -> None:
    """Raise ValueError for an empty address, a malformed one, or one that would expose a token."""
    # An empty address would mean the sidecar that the environment names.
    if not host_address or not host_address.strip():
        raise ValueError("host_address must not be empty: give the scheduler's endpoint.")
    address = addresses.resolve(host_address, secure=secure)
    if has_token and not address.secure and not address.is_loopback:
        raise ValueError(
            f"The token would be sent to {address} in plain text, where others can read it. Use "
            "https:// (or secure_channel=True without a prefix), or token_credential=None for a "
            "scheduler that needs no token."
        )


def for_threads(credential: TokenCredential | None, resource_id: str | None) -> Sequence[Any]:
    """The interceptors that authorize calls from threads; none without a credential."""
    scope = _scope(resource_id)
    if credential is None:
        return ()
    from . import _interceptors

    return _interceptors.for_threads(Tokens(credential, scope, now=_now))


def for_asyncio(
    credential: AsyncTokenCredential | TokenCredential | None, resource_id: str | None
) -> Sequence[Any]:
    """The interceptors that authorize calls from event loops."""
    scope = _scope(resource_id)
    if credential is None:
        return ()
    from . import _interceptors

    return _interceptors.for_asyncio(AsyncTokens(credential, scope, now=_now))


def for_worker(
    interceptors: Sequence[Any] | None,
    credential: TokenCredential | None,
    resource_id: str | None,
) -> Sequence[Any]:
    """The interceptors that authorize a worker's calls, of the same kind as `interceptors`."""
    if credential is not None:
        refuse_for_asyncio(credential)
    if not interceptors:
        return for_asyncio(credential, resource_id)
    # The caller's interceptors are classes of gRPC's, so it is imported already.
    import grpc.aio

    is_asyncio = isinstance(interceptors[0], grpc.aio.ClientInterceptor)
    return (for_asyncio if is_asyncio else for_threads)(credential, resource_id)


def _scope(resource_id: str | None) -> str:
    return scope_for(resource_id, region=os.environ.get("REGION_NAME", ""))


def _now() -> float:
    return time.time()  # noqa: TID251 - the shell is where time comes from
