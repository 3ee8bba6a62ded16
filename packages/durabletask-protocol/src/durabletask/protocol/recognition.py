"""Tell which dialect a peer speaks from what it says, for engines that serve both.

    GetWorkItems    by its fields: the two vendors' have no number in common
    an answer       by which dialect reads it without a rest

Nothing else tells: both vendors' procedures have the same paths, and their SDKs send the
same user agents. A worker that asks for work without any field is known by its answers.

Knows nothing about streams or tokens.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, messages, wire
from durabletask.protocol.dialects import DAPR, TASKHUB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durabletask.protocol.dialects import Dialect

# OrchestratorResponse.instance_id and .completion_token, in both dialects.
_INSTANCE_ID = 1
_COMPLETION_TOKEN = 4


def of_worker(raw: bytes) -> Dialect | None:
    """The dialect of an encoded GetWorkItemsRequest; None when it does not show."""
    found = {number for number, _ in _fields(raw)}
    if found & _numbers(DAPR):
        return DAPR
    return TASKHUB if found & _numbers(TASKHUB) else None


def of_answer(raw: bytes, *, rewinds: bool = False) -> Dialect | None:
    """The dialect of an encoded OrchestratorResponse; None when both vendors would say that.

    `rewinds` is whether a new history was asked for, which nobody sends unasked: what looks
    like one is Dapr's router.
    """
    if _reads(raw, TASKHUB, rewinds=rewinds):
        return None
    return DAPR if _reads(raw, DAPR, rewinds=rewinds) else TASKHUB


@dataclass(frozen=True, slots=True)
class Outline:
    """What an answer to a turn says about which turn it answers."""

    instance_id: str
    completion_token: str


def outline(raw: bytes) -> Outline:
    """Read as much of an OrchestratorResponse as all dialects share, or raise DecodeError."""
    texts = {_INSTANCE_ID: b"", _COMPLETION_TOKEN: b""}
    for number, content in _fields(raw):
        if number in texts and content is not None:
            texts[number] = content
    try:
        return Outline(texts[_INSTANCE_ID].decode(), texts[_COMPLETION_TOKEN].decode())
    except UnicodeDecodeError as error:
        raise wire.DecodeError(f"not an OrchestratorResponse: {error}") from error


@cache
def _numbers(dialect: Dialect) -> frozenset[int]:
    """The numbers of GetWorkItemsRequest's fields."""
    message = messages.GetWorkItemsRequest
    numbers = (
        dialect.field_number(message.__name__, each.name, each.metadata["betterproto"].number)
        for each in dataclasses.fields(message)
    )
    return frozenset(number for number in numbers if number is not None)


def _fields(raw: bytes) -> Iterator[tuple[int, bytes | None]]:
    """The numbers of the fields, and what those hold that have a length."""
    pos = 0
    try:
        while pos < len(raw):
            tag, pos = wire.tag_at(raw, pos)
            content, pos = pos, wire.skip(raw, tag, pos, len(raw))
            if tag & 7 == wire.LENGTH_DELIMITED:
                yield tag >> 3, raw[slice(*wire.span_at(raw, content, pos))]
            else:
                yield tag >> 3, None
    except IndexError as error:
        raise wire.DecodeError(wire.TRUNCATED) from error


def _reads(raw: bytes, dialect: Dialect, *, rewinds: bool) -> bool:
    """Whether the dialect has a meaning for all that is there."""
    try:
        answer = codec.decode(messages.OrchestratorResponse, raw, dialect)
    except wire.DecodeError:
        return False
    if not rewinds and any(action.rewind_orchestration is not None for action in answer.actions):
        return False
    trace = answer.orchestration_trace_context
    # Of Dapr's version, which has the same number, a wrapper's reader may make nothing at all.
    return (trace is None or bool(trace.span_id)) and not _has_rest(answer)


def _has_rest(value: Any) -> bool:
    """Whether a message, or one in it, holds fields that were not known."""
    if isinstance(value, list):
        return any(map(_has_rest, value))
    if not dataclasses.is_dataclass(value):
        return False
    # What was read stands in the instance; what is not there has its default.
    held = vars(value)
    return bool(held.get("_unknown_fields")) or any(map(_has_rest, held.values()))
