"""Our errors with gRPC's as a second base, made from what gRPC raised.

The error that a caller sees is of a class such as `SidecarUnavailableError` and of
`grpc.RpcError` (synchronous) or `grpc.aio.AioRpcError` (asynchronous) at once.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

from durabletask.transport import refusals
from durabletask.transport.errors import Refusal, SidecarError
from durabletask.transport.retry import Failure

if TYPE_CHECKING:
    import grpc


def failure_of(error: grpc.RpcError) -> Failure:
    """What gRPC said, as the table of retries reads it."""
    call = cast("Any", error)
    return Failure(call.code().name, call.details() or "")


def refusal_of(
    error: grpc.RpcError, *, address: str, method: str, instance_id: str, timeout: float
) -> Refusal:
    """What gRPC said, with what we know of the call."""
    call = cast("Any", error)
    debug = getattr(call, "debug_error_string", None)
    return Refusal(
        address=address,
        method=method,
        status=call.code().name,
        details=call.details() or "",
        instance_id=instance_id,
        timeout=timeout,
        initial_metadata=tuple(call.initial_metadata() or ()),
        trailing_metadata=tuple(call.trailing_metadata() or ()),
        debug=(debug() or "") if debug else "",
    )


def error_for(
    refusal: Refusal, base: type[grpc.RpcError], kind: type[SidecarError] | None = None
) -> SidecarError:
    """The error that a refusal means, or one of that `kind`; it is also a `base`."""
    kind = kind or refusals.kind_of(refusal)
    error_class = _with_base(cast("Any", kind), cast("Any", base))
    return error_class(refusals.text_of(refusal, kind), refusal)


@functools.cache
def _with_base(kind: type[SidecarError], base: type[grpc.RpcError]) -> type[SidecarError]:
    """A class that both `except kind` and `except base` catch."""

    # Such a class stands in no module, so pickle is told how to make it again.
    def reduce(error: SidecarError) -> tuple[Any, ...]:
        return error_for, (error.refusal, base, kind)

    return type(kind.__name__, (kind, base), {"__module__": kind.__module__, "__reduce__": reduce})
