"""The questions to one engine, in the terms of gRPC; `dialect.py` says what they mean.

Makes no call: `calls.py` puts the question from a thread, `async_calls.py` from an event loop,
and tells what became of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.transport import dialect
from durabletask.transport.dialect import Answer
from durabletask.transport.grpc_errors import failure_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

    from durabletask.transport.dialect import Engine


class Inquiry:
    """Goes from question to question until `engine` is known.

    An answer that leaves it undecided is raised, as gRPC raised it.
    """

    def __init__(self) -> None:
        self._questions = dialect.find_out()
        self.question = next(self._questions)
        self.engine: Engine | None = None

    def answered(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
        """Take note of an answer that came with this initial metadata."""
        pairs = tuple((key, value) for key, value in metadata or ())
        self._go_on(Answer("OK", metadata=pairs))

    def failed(self, error: grpc.RpcError) -> None:
        """Take note of a refusal, which can tell as much as an answer."""
        failure = failure_of(error)
        if not self._go_on(Answer(failure.status, failure.details)):
            raise error

    def _go_on(self, answer: Answer) -> bool:
        try:
            self.question = self._questions.send(answer)
        except StopIteration as end:
            self.engine = end.value
            return self.engine is not None
        return True
