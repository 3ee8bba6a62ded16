"""Read parts of an encoded work item without decoding all of it.

A worker that keeps an orchestration in memory has applied most of the history that comes with
the next turn. It peeks whose turn it is and decodes only what is new. The field numbers used
here are the same in all dialects, except for that of the cached history.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from durabletask.protocol import codec, json_values, messages, wire
from durabletask.protocol.dialects import NATIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from durabletask.protocol.dialects import Dialect

T = TypeVar("T")
Span = tuple[int, int]
"""Where something starts and stops in the bytes of a work item."""

_NO_SPANS: Sequence[Span] = ()

# The members of WorkItem's oneof.
_KINDS = {
    1: "orchestrator_request",
    2: "activity_request",
    3: "entity_request",
    4: "health_ping",
    5: "entity_request_v2",
}
_ORCHESTRATOR_REQUEST = _KINDS[1]
_ACTIVITY_REQUEST = _KINDS[2]
_ENTITY_REQUEST_V2 = _KINDS[5]


def _tag(number: int) -> int:
    return number << 3 | wire.LENGTH_DELIMITED


_COMPLETION_TOKEN = _tag(10)  # in WorkItem
_INSTANCE_ID = _tag(1)  # in all requests but an activity's
_EXECUTION_ID = _tag(2)
_PAST_EVENTS = _tag(3)  # in OrchestratorRequest
_NEW_EVENTS = _tag(4)
_PROPERTIES = _tag(7)
_CACHED_HISTORY = 1009  # in NATIVE; dialects number it differently
_ORCHESTRATION_INSTANCE = _tag(4)  # in ActivityRequest
_KEY, _VALUE = _tag(1), _tag(2)  # in a map's entry

INCLUDE_STATE = "IncludeState"
"""The property of a turn that is false when its past events are left out."""
HISTORY_LENGTH = "HistoryLength"
"""The property that says how many past events are left out; our sidecar's own."""


@dataclass(frozen=True, slots=True)
class EventSpans:
    """The encoded events of a request, as spans of their work item."""

    raw: bytes
    spans: Sequence[Span]

    def __len__(self) -> int:
        return len(self.spans)

    def event_bytes(self, index: int) -> bytes:
        """The event at `index` as it was encoded; -1 is the last."""
        start, stop = self.spans[index]
        return self.raw[start:stop]


@dataclass(frozen=True, slots=True)
class Peek:
    """The fields of a work item that are read before decoding; `""` for those that are missing."""

    kind: str
    """The member of `WorkItem.request` that is set, by name."""
    completion_token: str
    instance_id: str
    execution_id: str
    past_events: EventSpans
    new_events: EventSpans
    left_out: int | None
    """How many past events were left out because the worker has them from earlier turns; 0 if
    their number is not given, None if all past events are here."""
    kept: int = 0
    """How many past events precede those that are here, on an engine that sends each worker
    only events that it has not been sent before."""


def peek(raw: bytes, dialect: Dialect = NATIVE) -> Peek:
    """Read the outline of an encoded work item, or raise DecodeError."""
    return _guarded(lambda: _peek(raw, dialect))


def decode(
    raw: bytes, dialect: Dialect = NATIVE, *, skip_past_events: int = 0
) -> messages.WorkItem:
    """Decode a work item without its first `skip_past_events` past events.

    Raises DecodeError when the bytes are malformed, and ValueError when there are fewer past
    events than that. What is stepped over is not checked.
    """
    if not skip_past_events:
        return codec.decode(messages.WorkItem, raw, dialect)
    kind, requests, others = _guarded(lambda: _outline(raw))
    if kind != _ORCHESTRATOR_REQUEST:
        raise ValueError(f"no past events to skip in a work item of kind {kind!r}")
    kept = _guarded(lambda: _without_past_events(raw, requests, skip_past_events))
    item = codec.decode_spans(messages.WorkItem, raw, others, dialect)
    item.orchestrator_request = codec.decode_spans(messages.OrchestratorRequest, raw, kept, dialect)
    return item


def _guarded(read: Callable[[], T]) -> T:
    try:
        return read()
    except IndexError as error:
        raise wire.DecodeError(f"not a WorkItem: {wire.TRUNCATED}") from error
    except (wire.DecodeError, UnicodeDecodeError) as error:
        raise wire.DecodeError(f"not a WorkItem: {error}") from error


def _outline(raw: bytes) -> tuple[str, list[Span], list[Span]]:
    """The kind of the work item, the spans of its request, and those of all other fields.

    A request may come in pieces, which are read as one; of two kinds the last one counts.
    """
    kind = ""
    requests: list[Span] = []
    others: list[Span] = []
    pos = 0
    while pos < len(raw):
        begin = pos
        tag, pos = wire.tag_at(raw, pos)
        content, pos = pos, wire.skip(raw, tag, pos, len(raw))
        member = _KINDS.get(tag >> 3) if tag & 7 == wire.LENGTH_DELIMITED else None
        if member is None:
            others.append((begin, pos))
            continue
        if member != kind:
            kind = member
            requests.clear()
        requests.append(wire.span_at(raw, content, pos))
    return kind, requests, others


def _peek(raw: bytes, dialect: Dialect) -> Peek:
    kind, requests, others = _outline(raw)
    fields = _contents(raw, requests)
    # An activity's request names its orchestration in a nested message, whose first fields are
    # those of an orchestrator's request.
    owner = fields
    if kind == _ACTIVITY_REQUEST:
        owner = _contents(raw, fields.get(_ORCHESTRATION_INSTANCE, _NO_SPANS))
    read_execution_id = _EXECUTION_ID_READERS.get(kind)
    execution_id = owner.get(_EXECUTION_ID, _NO_SPANS)
    events = fields if kind == _ORCHESTRATOR_REQUEST else {}
    kept = _kept(raw, events, dialect)
    return Peek(
        kind,
        completion_token=_text(raw, _contents(raw, others).get(_COMPLETION_TOKEN, _NO_SPANS)),
        instance_id=_text(raw, owner.get(_INSTANCE_ID, _NO_SPANS)),
        execution_id=read_execution_id(raw, execution_id) if read_execution_id else "",
        past_events=EventSpans(raw, events.get(_PAST_EVENTS, _NO_SPANS)),
        new_events=EventSpans(raw, events.get(_NEW_EVENTS, _NO_SPANS)),
        left_out=(
            None if kept or _PAST_EVENTS in events else _left_out(raw, events.get(_PROPERTIES))
        ),
        kept=kept,
    )


def _kept(raw: bytes, request: Mapping[int, Sequence[Span]], dialect: Dialect) -> int:
    number = dialect.field_number("OrchestratorRequest", "cached_history", _CACHED_HISTORY)
    spans = request.get(_tag(number)) if number is not None else None
    if not spans:
        return 0
    # A message may come in several parts, each with some of the fields; this one never does.
    start, stop = spans[-1]
    return codec.decode(messages.CachedHistory, raw[start:stop], dialect).event_count


def _left_out(raw: bytes, properties: Iterable[Span] | None) -> int | None:
    if properties is None:
        return None
    found: dict[str, Any] = {}
    for entry in properties:
        fields = _contents(raw, [entry])
        name = _text(raw, fields.get(_KEY, _NO_SPANS))
        if name in {INCLUDE_STATE, HISTORY_LENGTH}:
            found[name] = _value(raw, fields.get(_VALUE, _NO_SPANS))
    if found.get(INCLUDE_STATE) is not False:
        return None
    length = found.get(HISTORY_LENGTH)
    return length if type(length) is int and length > 0 else 0


def _value(raw: bytes, spans: Sequence[Span]) -> Any:
    return json.loads(json_values.read(raw, *spans[-1])) if spans else None


def _contents(raw: bytes, spans: Iterable[Span]) -> dict[int, list[Span]]:
    """The contents of the length-delimited fields in `spans`, by tag."""
    found: dict[int, list[Span]] = defaultdict(list)
    for start, end in spans:
        pos = start
        while pos < end:
            tag = raw[pos]
            pos += 1
            if tag > 0x7F:
                tag, pos = wire.rest_of_tag(raw, pos, tag)
            if tag & 7 != wire.LENGTH_DELIMITED:
                pos = wire.skip(raw, tag, pos, end)
                continue
            # As wire.span_at, in place: this runs once for every event.
            size = raw[pos]
            pos += 1
            if size > 0x7F:
                size, pos = wire.rest_of_varint(raw, pos, size)
            stop = pos + size
            if stop > end:
                raise wire.DecodeError(wire.TRUNCATED)
            found[tag].append((pos, stop))
            pos = stop
    return found


def _without_past_events(raw: bytes, requests: Iterable[Span], count: int) -> list[Span]:
    """The spans of the request without its first `count` past events."""
    kept = []
    for start, end in requests:
        pos = begin = start
        while count and pos < end:
            field = pos
            tag, pos = wire.tag_at(raw, pos)
            if tag != _PAST_EVENTS:
                pos = wire.skip(raw, tag, pos, end)
                continue
            size = raw[pos]
            pos += 1
            if size > 0x7F:
                size, pos = wire.rest_of_varint(raw, pos, size)
            pos += size
            if pos > end:
                raise wire.DecodeError(wire.TRUNCATED)
            if begin < field:
                kept.append((begin, field))
            begin = pos
            count -= 1
        kept.append((begin, end))
    if count:
        raise ValueError(f"{count} more past events to skip than the work item has")
    return kept


def _text(raw: bytes, spans: Sequence[Span]) -> str:
    # Of a field that occurs twice the last one counts.
    return raw[slice(*spans[-1])].decode() if spans else ""


def _wrapped_text(raw: bytes, spans: Sequence[Span]) -> str:
    value = ""
    for start, stop in spans:
        value = wire.string_value(raw, start, stop, value)
    return value


# A batch of entity operations in the older form has no execution id.
_EXECUTION_ID_READERS = {
    _ORCHESTRATOR_REQUEST: _wrapped_text,
    _ACTIVITY_REQUEST: _wrapped_text,
    _ENTITY_REQUEST_V2: _text,
}
