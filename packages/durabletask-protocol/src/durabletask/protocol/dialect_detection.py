"""Detect which dialect a worker speaks, for engines that serve both.

    GetWorkItems              by its fields: the two vendors' have no number in common
    CompleteOrchestratorTask  by which dialect can read it without unknown fields

Nothing else differs: both vendors' methods have the same paths, and their SDKs send the same
user agents. A worker whose GetWorkItems has no field is recognized by its first completion.
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
    """The dialect of an encoded GetWorkItemsRequest; None if both are possible."""
    found = {number for number, _ in _fields(raw)}
    if found & _numbers(DAPR):
        return DAPR
    return TASKHUB if found & _numbers(TASKHUB) else None


def of_completion(raw: bytes, *, rewinds: bool = False) -> Dialect | None:
    """The dialect of an encoded OrchestratorResponse; None if both are possible.

    `rewinds` is whether the turn asked for a rewind. If it did not, what looks like a new
    history is Dapr's router.
    """
    if _reads(raw, TASKHUB, rewinds=rewinds):
        return None
    return DAPR if _reads(raw, DAPR, rewinds=rewinds) else TASKHUB


@dataclass(frozen=True, slots=True)
class CompletionIds:
    """The ids by which an OrchestratorResponse names the turn that it completes."""

    instance_id: str
    completion_token: str


def completion_ids(raw: bytes) -> CompletionIds:
    """Read the ids of an OrchestratorResponse of any dialect, or raise DecodeError."""
    texts = {_INSTANCE_ID: b"", _COMPLETION_TOKEN: b""}
    for number, content in _fields(raw):
        if number in texts and content is not None:
            texts[number] = content
    try:
        return CompletionIds(texts[_INSTANCE_ID].decode(), texts[_COMPLETION_TOKEN].decode())
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
    """The numbers of the fields, with the content of those that are length-delimited."""
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
    """Whether the dialect has a meaning for every field."""
    try:
        answer = codec.decode(messages.OrchestratorResponse, raw, dialect)
    except wire.DecodeError:
        return False
    if not rewinds and any(action.rewind_orchestration is not None for action in answer.actions):
        return False
    trace = answer.orchestration_trace_context
    # Dapr's `version` has the number of Microsoft's trace context, and reads as an empty one.
    return (trace is None or bool(trace.span_id)) and not _has_unknown(answer)


def _has_unknown(value: Any) -> bool:
    """Whether a message, or one in it, holds fields that were not known."""
    if isinstance(value, list):
        return any(map(_has_unknown, value))
    if not dataclasses.is_dataclass(value):
        return False
    # Only fields that were read are in the instance dict.
    held = vars(value)
    return bool(held.get("_unknown_fields")) or any(map(_has_unknown, held.values()))
