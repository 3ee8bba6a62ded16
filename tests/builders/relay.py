"""A relay between a worker and an engine that weighs the turns which pass through it.

Knows no message but the outermost tag of a work item, so it passes on any dialect unchanged.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

# A work item begins with the tag of what it asks for; that of a turn is field 1.
_TURN = b"\x0a"
_STREAMS = ("/GetWorkItems", "/StreamInstanceHistory")


class Relay(grpc.GenericRpcHandler):
    """Remembers the size of every turn, in the order in which they were sent."""

    def __init__(self, engine: grpc.Channel) -> None:
        self.turns: list[int] = []
        self._engine = engine

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if call.method.endswith(_STREAMS):
            ask = self._engine.unary_stream(call.method)
            return grpc.unary_stream_rpc_method_handler(lambda *told: self._stream(ask, *told))
        once = self._engine.unary_unary(call.method)
        return grpc.unary_unary_rpc_method_handler(lambda *told: _answer(once, *told))

    def _stream(self, ask: Any, request: bytes, context: Any) -> Iterator[bytes]:
        answers = ask(request, metadata=context.invocation_metadata())
        context.add_callback(answers.cancel)
        try:
            for item in answers:
                if item.startswith(_TURN):
                    self.turns.append(len(item))
                yield item
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())  # type: ignore[attr-defined]


def _answer(ask: Any, request: bytes, context: Any) -> bytes:
    try:
        answer, call = ask.with_call(request, metadata=context.invocation_metadata())
    except grpc.RpcError as error:
        context.abort(error.code(), error.details())  # type: ignore[attr-defined]
    context.send_initial_metadata(call.initial_metadata())
    return bytes(answer)


@contextmanager
def relay(address: str) -> Iterator[tuple[str, list[int]]]:
    """Relay to the engine at this address; yields the relay's own, and the turns' sizes."""
    with grpc.insecure_channel(address) as engine, ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool)
        relaying = Relay(engine)
        server.add_generic_rpc_handlers([relaying])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}", relaying.turns
        finally:
            server.stop(grace=None).wait()
