"""Which of the two contracts the engine speaks, and how that is found out.

    argument, DURABLETASK_DIALECT --"taskhub" or "dapr"--> that one, unasked
                                  --"auto"--> Hello --names itself--> Microsoft's
                                                |
                                        ListInstanceIDs, which only Dapr's engines have
                                                |
              known, or not passed on --> Dapr's;  unknown --> Microsoft's;  else --> undecided

Both contracts are served under the same names, so nothing but such a question tells them
apart. The questions and what their answers mean stand here; `inquiry.py` has them asked, once for
each channel.

Pure: knows nothing about gRPC, and the environment is an argument.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.core import arguments
from durabletask.protocol import codec, dialects, messages, methods

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
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

# daprd up to 1.16 is built on an engine that has Dapr's fields, but not the call that tells.
_DAPR_IS_MEANT: Final = ("DAPR_GRPC_ENDPOINT", "DAPR_GRPC_PORT")
# How daprd says that it does not know a method, and has nobody to pass it on to.
_NOT_PASSED_ON: Final = "failed to proxy request"


@dataclass(frozen=True, slots=True)
class Engine:
    """Who answers at the other end: how it speaks, and what to call it in texts."""

    dialect: Dialect
    name: str
    is_ours: bool = False

    @property
    def is_dapr(self) -> bool:
        """True if it speaks Dapr's dialect, and so has Dapr's operations."""
        return self.dialect is dialects.DAPR

    def dialect_of(self, method: Method) -> Dialect | None:
        """How to write a call of this method; None if the engine does not have it."""
        if self.dialect in method.dialects:
            return self.dialect
        # Our sidecar serves what only the other dialect has, too, and reads it in that one.
        return method.dialects[0] if self.is_ours else None


@dataclass(frozen=True, slots=True)
class Question:
    """A call that makes an engine show what it speaks."""

    method: Method
    payload: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question: the name of gRPC's status, its details, the metadata."""

    status: str
    details: str = ""
    metadata: tuple[tuple[str, str | bytes], ...] = ()


def chosen(argument: str | None = None, *, environment: Mapping[str, str] = os.environ) -> str:
    """The dialect that was asked for: "taskhub", "dapr", or "auto" to find it out.

    The first that says anything: the argument, `DURABLETASK_DIALECT`, "auto". Anything else
    is a ValueError.
    """
    source, said = "dialect", arguments.optional_text(argument, "dialect") or ""
    if not said:
        source, said = VARIABLE, environment.get(VARIABLE, "").strip() or AUTO
    if said not in _CHOICES:
        raise ValueError(f"{source} is {said!r}; it can be {', '.join(map(repr, _CHOICES))}.")
    return said


def named(choice: str) -> Dialect | None:
    """The dialect of a choice, or None if it has to be found out."""
    return _DIALECTS.get(choice)


def forced(dialect: Dialect) -> Engine:
    """The engine that somebody says is there."""
    return Engine(dialect, _NAMES[dialect])


def find_out(
    *, environment: Mapping[str, str] = os.environ
) -> Generator[Question, Answer, Engine | None]:
    """Ask until an answer settles it; returns None if the last answer decides nothing."""
    hello = yield Question(methods.HELLO, b"")
    engine = from_hello(hello)
    # Who does not even know Hello may still be somebody: the caller's own call will tell.
    if engine is not None or hello.status not in ("OK", "UNIMPLEMENTED"):
        return engine
    request = messages.PageInstanceIdsRequest(page_size=1)
    answer = yield Question(methods.PAGE_INSTANCE_IDS, codec.encode(request, dialects.DAPR))
    is_dapr_meant = any(environment.get(name) for name in _DAPR_IS_MEANT)
    return from_ids(answer, is_dapr_meant=is_dapr_meant)


def from_hello(answer: Answer) -> Engine | None:
    """The engine that named itself. Ours serves both dialects; this is the one it has more in."""
    name = dict(answer.metadata).get(ENGINE_KEY)
    if answer.status != "OK" or not isinstance(name, str):
        return None
    return Engine(dialects.TASKHUB, name, is_ours=name.partition("/")[0] == _OURS)


def from_ids(answer: Answer, *, is_dapr_meant: bool) -> Engine | None:
    """What it means that ListInstanceIDs was answered so; None if it decides nothing."""
    if answer.status == "OK":
        return forced(dialects.DAPR)
    if answer.status == "UNKNOWN" and _NOT_PASSED_ON in answer.details:
        return forced(dialects.DAPR)
    if answer.status == "UNIMPLEMENTED":
        return forced(dialects.DAPR if is_dapr_meant else dialects.TASKHUB)
    return None
