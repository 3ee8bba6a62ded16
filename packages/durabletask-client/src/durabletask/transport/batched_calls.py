"""Calls in batches: made from any thread, answered through callbacks, many in one message.

Only a sidecar of this project offers them, in the same process or on a stream over gRPC; a
transport has them after its first call, or not at all. They mean what the same calls mean one
by one: the same requests, responses, order of commits and errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durabletask.protocol.methods import Method
    from durabletask.transport import Metadata


class BatchedCalls(Protocol):
    """Calls over one connection. Both methods return a function that cancels the call.

    Callbacks are called on a thread of the connection's, or on the caller's before the call
    returns: they return at once, raise nothing, and run no user code. When the connection ends,
    every call that is not answered yet fails with a `SidecarUnavailableError`; a call on a
    transport that is closed fails with a `RuntimeError`.
    """

    def call(
        self,
        method: Method,
        request: Any,
        answered: Callable[[Any, Exception | None], None],
        *,
        metadata: Metadata = (),
    ) -> Callable[[], None]:
        """Make a call; `answered` is called once, with the response or the error.

        It may be called before this returns, on the same thread. Over gRPC the call may take
        `DEFAULT_TIMEOUT` seconds. A request that cannot be encoded is answered with an
        `EncodeError`. After a cancellation `answered` may not be called at all.
        """
        ...

    def stream(
        self,
        method: Method,
        request: Any,
        received: Callable[[Sequence[bytes]], None],
        ended: Callable[[Exception | None], None],
        *,
        metadata: Metadata = (),
    ) -> Callable[[], None]:
        """Open a stream; `received` is called with whatever responses are there, encoded.

        An empty sequence says that the sidecar has admitted the call. `ended` is called once,
        after the last response, with None for a good end; not after a cancellation.
        """
        ...


def batched_calls_of(transport: object) -> BatchedCalls | None:
    """The transport's calls in batches; None where the identified engine does not offer them.

    A transport of the program's own need not have the method.
    """
    offered = getattr(transport, "batched_calls", None)
    return None if offered is None else cast("BatchedCalls | None", offered())
