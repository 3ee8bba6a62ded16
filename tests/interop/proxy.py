"""A proxy between a worker and an engine that measures the turns which pass through it.

Passes on every byte unchanged; it reads work items only to tell a turn from other work.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc

from durabletask.protocol import codec, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durabletask.protocol.dialects import Dialect

_STREAMS = ("/GetWorkItems", "/StreamInstanceHistory")


class Proxy(grpc.GenericRpcHandler):
    """Remembers the size of every turn, in the order in which they were sent."""

    def __init__(self, engine: grpc.Channel, dialect: Dialect) -> None:
        self.turns: list[int] = []
        self._engine = engine
        self._dialect = dialect

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if call.method.endswith(_STREAMS):
            ask: Any = self._engine.unary_stream(call.method)
            return grpc.unary_stream_rpc_method_handler(lambda *told: self._stream(ask, *told))
        once: Any = self._engine.unary_unary(call.method)
        return grpc.unary_unary_rpc_method_handler(lambda *told: _answer(once, *told))

    def _stream(self, ask: Any, request: bytes, context: Any) -> Iterator[bytes]:
        answers = ask(request, metadata=context.invocation_metadata())
        context.add_callback(answers.cancel)
        try:
            for item in answers:
                if self._is_turn(item):
                    self.turns.append(len(item))
                yield item
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())  # type: ignore[attr-defined]

    def _is_turn(self, item: bytes) -> bool:
        work = codec.decode(messages.WorkItem, item, self._dialect)
        return work.orchestrator_request is not None


def _answer(ask: Any, request: bytes, context: Any) -> bytes:
    try:
        answer, call = ask.with_call(request, metadata=context.invocation_metadata())
    except grpc.RpcError as error:
        context.abort(error.code(), error.details())  # type: ignore[attr-defined]
    context.send_initial_metadata(call.initial_metadata())
    return bytes(answer)


@contextmanager
def proxied(address: str, dialect: Dialect) -> Iterator[tuple[str, list[int]]]:
    """Listen before the engine at this address; yields the proxy's own, and the turns' sizes."""
    with grpc.insecure_channel(address) as engine, ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool)
        proxy = Proxy(engine, dialect)
        server.add_generic_rpc_handlers([proxy])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}", proxy.turns
        finally:
            server.stop(grace=None).wait()
