"""Find out which engine answers, and so which of the two dialects to speak.

    argument, DURABLETASK_DIALECT --"taskhub" or "dapr"--> that dialect; nothing is asked
                                  --"auto"--> Hello --the engine gives its name--> Microsoft's
                                                |
                                        ListInstanceIDs, which only Dapr's engines have
                                                |
              known, or not passed on --> Dapr's;  unknown --> Microsoft's;  else --> undecided

Both dialects are served under the same method paths, so only such a question tells them apart.
A transport asks once for each channel. Does no I/O: the transports send the questions, and the
environment is an argument.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.core import arguments
from durabletask.protocol import batch_stream, codec, dialects, messages, methods

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from typing import Final

    from durabletask.protocol.dialects import Dialect
    from durabletask.protocol.methods import Method

VARIABLE: Final = "DURABLETASK_DIALECT"
AUTO: Final = "auto"

_DIALECTS: Final = {"taskhub": dialects.TASKHUB, "dapr": dialects.DAPR}
_CHOICES: Final = (AUTO, *_DIALECTS)

ENGINE_KEY: Final = "x-durabletask-engine"
"""The metadata in which an engine gives its name, if it does."""

_OURS: Final = "durabletask-sidecar"
_NAMES: Final = {
    dialects.TASKHUB: "an engine of Microsoft's dialect",
    dialects.DAPR: "an engine of Dapr's dialect",
}

# Digits of the largest size that makes sense; Python refuses to parse very long numbers.
_MAX_DIGITS = 18

# daprd up to 1.16 is built on an engine that has Dapr's fields but lacks ListInstanceIDs.
_DAPR_IS_MEANT: Final = ("DAPR_GRPC_ENDPOINT", "DAPR_GRPC_PORT")
# What daprd answers to a method that it does not know and cannot proxy to another app.
_NOT_PASSED_ON: Final = "failed to proxy request"


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine at the other end: its dialect, and its name for logs and errors."""

    dialect: Dialect
    name: str
    is_ours: bool = False
    batch_bytes: int = 0
    """How large a batch of calls may be; 0 where the engine takes no batches."""

    @property
    def is_dapr(self) -> bool:
        """True if it speaks Dapr's dialect, and so has Dapr's operations."""
        return self.dialect is dialects.DAPR

    def dialect_of(self, method: Method) -> Dialect | None:
        """The dialect in which to write a call; None if the engine does not have the method."""
        if self.dialect in method.dialects:
            return self.dialect
        # Our sidecar also serves the methods that only the other dialect has, in that dialect.
        return method.dialects[0] if self.is_ours else None


@dataclass(frozen=True, slots=True)
class Question:
    """A call whose answer shows which dialect the engine speaks."""

    method: Method
    payload: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question: the name of gRPC's status, its details, the metadata."""

    status: str
    details: str = ""
    metadata: tuple[tuple[str, str | bytes], ...] = ()


class Detection:
    """Goes from question to question until `engine` is known."""

    def __init__(self) -> None:
        self._questions = detect()
        self.question = next(self._questions)
        self.engine: Engine | None = None

    def answered(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
        """Go on after an answer that came with this initial metadata."""
        pairs = tuple((key, value) for key, value in metadata or ())
        self._go_on(Answer("OK", metadata=pairs))

    def refused(self, status: str, details: str) -> bool:
        """Go on after a refusal; False if it leaves open which engine answers."""
        return self._go_on(Answer(status, details))

    def _go_on(self, answer: Answer) -> bool:
        try:
            self.question = self._questions.send(answer)
        except StopIteration as end:
            self.engine = end.value
            return self.engine is not None
        return True


def chosen_dialect(
    argument: str | None = None, *, environment: Mapping[str, str] = os.environ
) -> Dialect | None:
    """The dialect that was asked for; None for "auto", which leaves it to detection.

    The first of these that is not empty counts: the argument, `DURABLETASK_DIALECT`, "auto".
    Anything but "taskhub", "dapr" and "auto" is a ValueError.
    """
    source, choice = "dialect", arguments.optional_text(argument, "dialect") or ""
    if not choice:
        source, choice = VARIABLE, environment.get(VARIABLE, "").strip() or AUTO
    if choice not in _CHOICES:
        raise ValueError(f"{source} is {choice!r}; it can be {', '.join(map(repr, _CHOICES))}.")
    return _DIALECTS.get(choice)


def engine_of(dialect: Dialect) -> Engine:
    """An engine of which only the dialect is known."""
    return Engine(dialect, _NAMES[dialect])


def detect(
    *, environment: Mapping[str, str] = os.environ
) -> Generator[Question, Answer, Engine | None]:
    """Ask until an answer decides it; returns None if the last answer decides nothing."""
    hello = yield Question(methods.HELLO, b"")
    engine = from_hello(hello)
    # An engine without Hello may still serve the caller's own call, so it is asked further.
    if engine is not None or hello.status not in ("OK", "UNIMPLEMENTED"):
        return engine
    request = messages.PageInstanceIdsRequest(page_size=1)
    answer = yield Question(methods.PAGE_INSTANCE_IDS, codec.encode(request, dialects.DAPR))
    is_dapr_meant = any(environment.get(name) for name in _DAPR_IS_MEANT)
    return from_ids(answer, is_dapr_meant=is_dapr_meant)


def from_hello(answer: Answer) -> Engine | None:
    """The engine that gave its name. Ours serves both dialects; Microsoft's has more methods."""
    metadata = dict(answer.metadata)
    name = metadata.get(ENGINE_KEY)
    if answer.status != "OK" or not isinstance(name, str):
        return None
    return named(name, offered=metadata.get(batch_stream.OFFER_KEY))


def named(name: str, *, offered: str | bytes | None = None) -> Engine:
    """The engine that gives this name. It speaks Microsoft's dialect, whoever it is.

    `offered` is how large a batch may be, as an engine says that takes batches.
    """
    is_ours = name.partition("/")[0] == _OURS
    return Engine(dialects.TASKHUB, name, is_ours, _batch_bytes(offered) if is_ours else 0)


def _batch_bytes(offered: str | bytes | None) -> int:
    is_valid = isinstance(offered, str) and offered.isdecimal() and len(offered) <= _MAX_DIGITS
    return int(offered or "0") if is_valid else 0


def from_ids(answer: Answer, *, is_dapr_meant: bool) -> Engine | None:
    """What the answer to ListInstanceIDs says of the engine; None if it decides nothing."""
    if answer.status == "OK":
        return engine_of(dialects.DAPR)
    if answer.status == "UNKNOWN" and _NOT_PASSED_ON in answer.details:
        return engine_of(dialects.DAPR)
    if answer.status == "UNIMPLEMENTED":
        return engine_of(dialects.DAPR if is_dapr_meant else dialects.TASKHUB)
    return None
