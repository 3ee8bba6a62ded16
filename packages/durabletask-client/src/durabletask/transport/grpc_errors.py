"""Make the errors of the SDK from those of gRPC; each is an error of both kinds.

The error that a caller sees is of a class such as `SidecarUnavailableError`, and also of
`grpc.RpcError` (synchronous) or `grpc.aio.AioRpcError` (asynchronous).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

from durabletask.transport import error_mapping
from durabletask.transport.errors import Refusal, SidecarError
from durabletask.transport.retry import Failure

if TYPE_CHECKING:
    import grpc


def failure_of(error: grpc.RpcError) -> Failure:
    """The status and details that gRPC reported, as the table of retries reads them."""
    call = cast("Any", error)
    return Failure(call.code().name, call.details() or "")


def refusal_of(
    error: grpc.RpcError, *, address: str, method: str, instance_id: str, timeout: float
) -> Refusal:
    """All that gRPC reported, together with what is known of the call."""
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
    kind = kind or error_mapping.kind_of(refusal)
    error_class = _with_base(cast("Any", kind), cast("Any", base))
    return error_class(error_mapping.text_of(refusal, kind), refusal)


@functools.cache
def _with_base(kind: type[SidecarError], base: type[grpc.RpcError]) -> type[SidecarError]:
    """A class that both `except kind` and `except base` catch."""

    # The class is in no module, so pickle must be told how to make it again.
    def reduce(error: SidecarError) -> tuple[Any, ...]:
        return error_for, (error.refusal, base, kind)

    return type(kind.__name__, (kind, base), {"__module__": kind.__module__, "__reduce__": reduce})
