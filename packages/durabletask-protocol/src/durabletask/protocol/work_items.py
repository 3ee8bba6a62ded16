"""Read parts of an encoded work item without decoding all of it.

A peek says whose work it is and where its request and its events are; what is then decoded is
the request of an activity or an entity, or the events of a turn that the worker has not applied
yet. The field numbers used here are the same in all dialects, except for that of the cached
history.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from durabletask.protocol import codec, json_values, messages, wire
from durabletask.protocol.dialects import NATIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import betterproto2

    from durabletask.protocol.dialects import Dialect

M = TypeVar("M", bound="betterproto2.Message")
Span = tuple[int, int]
"""Where something starts and stops in the bytes of a work item."""

_NO_SPANS: Sequence[Span] = ()


def _tag(number: int) -> int:
    return number << 3 | wire.LENGTH_DELIMITED


ORCHESTRATOR_REQUEST = "orchestrator_request"
ACTIVITY_REQUEST = "activity_request"
ENTITY_REQUEST_V2 = "entity_request_v2"

# The members of WorkItem's oneof.
_KINDS = {
    _tag(1): ORCHESTRATOR_REQUEST,
    _tag(2): ACTIVITY_REQUEST,
    _tag(3): "entity_request",
    _tag(4): "health_ping",
    _tag(5): ENTITY_REQUEST_V2,
}

_COMPLETION_TOKEN = _tag(10)  # in WorkItem
_INSTANCE_ID = _tag(1)  # in all requests but an activity's
_EXECUTION_ID = _tag(2)
_PAST_EVENTS = _tag(3)  # in OrchestratorRequest
_NEW_EVENTS = _tag(4)
_PROPERTIES = _tag(7)
_CACHED_HISTORY = 1009  # in NATIVE; dialects number it differently
_ORCHESTRATION_INSTANCE = _tag(4)  # in ActivityRequest

INCLUDE_STATE = "IncludeState"
"""The property of a turn that is false when its past events are left out."""
HISTORY_LENGTH = "HistoryLength"
"""The property that says how many past events are left out; our sidecar's own."""


# Not frozen, as that would triple the time to make one, and each work item makes some. None is
# changed once it is made.
@dataclass(slots=True)
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

    def decode(self, dialect: Dialect = NATIVE, *, skip: int = 0) -> list[messages.HistoryEvent]:
        """The events without the first `skip`, which are not read; raises DecodeError.

        Raises ValueError when there are fewer events than that.
        """
        if skip > len(self.spans):
            raise ValueError(f"{skip - len(self.spans)} more events to skip than there are")
        spans = self.spans[skip:] if skip else self.spans
        return codec.decode_each(messages.HistoryEvent, self.raw, spans, dialect)


class Outline(NamedTuple):
    """The fields of a work item itself, without those of its request; `""` if one is missing."""

    kind: str
    """The member of `WorkItem.request` that is set, by name."""
    request: Sequence[Span]
    """Where its fields are; it may come in pieces, which are read as one."""
    completion_token: str


@dataclass(slots=True)
class Peek:
    """The fields of a work item that are read before decoding; `""` for those that are missing."""

    kind: str
    """The member of `WorkItem.request` that is set, by name."""
    request: Sequence[Span]
    """Where its fields are; it may come in pieces, which are read as one."""
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


def outline(raw: bytes) -> Outline:
    """Read what is needed to route an encoded work item, or raise DecodeError."""
    try:
        return _outline(raw)
    except codec.UNREADABLE as error:
        raise codec.decode_error(messages.WorkItem, error) from error


def peek(raw: bytes, dialect: Dialect = NATIVE, outline: Outline | None = None) -> Peek:
    """Read the head of an encoded work item, whose outline may be known, or raise DecodeError."""
    try:
        return _peek(raw, dialect, outline or _outline(raw))
    except codec.UNREADABLE as error:
        raise codec.decode_error(messages.WorkItem, error) from error


def decode_request(
    message_class: type[M], raw: bytes, request: Sequence[Span], dialect: Dialect = NATIVE
) -> M:
    """The request of a work item, where a peek has found it; raises DecodeError."""
    return codec.decode_spans(message_class, raw, request, dialect)


def _peek(raw: bytes, dialect: Dialect, outline: Outline) -> Peek:
    kind, request, token = outline
    fields = _contents(raw, request)
    if kind == ORCHESTRATOR_REQUEST:
        return _peek_turn(raw, dialect, outline, fields)
    owner = fields
    # An activity's request names its orchestration in a nested message, whose first fields are
    # those of an orchestrator's request.
    if kind == ACTIVITY_REQUEST:
        owner = _contents(raw, fields.get(_ORCHESTRATION_INSTANCE, _NO_SPANS))
    execution_id = _EXECUTION_ID_READERS.get(kind)
    return Peek(
        kind,
        request,
        token,
        _text(raw, owner.get(_INSTANCE_ID, _NO_SPANS)),
        execution_id(raw, owner.get(_EXECUTION_ID, _NO_SPANS)) if execution_id else "",
        EventSpans(raw, _NO_SPANS),
        EventSpans(raw, _NO_SPANS),
        None,
    )


def _peek_turn(
    raw: bytes, dialect: Dialect, outline: Outline, fields: Mapping[int, Sequence[Span]]
) -> Peek:
    kept = _kept(raw, fields, dialect)
    has_past = kept or _PAST_EVENTS in fields
    return Peek(
        *outline,
        _text(raw, fields.get(_INSTANCE_ID, _NO_SPANS)),
        _wrapped_text(raw, fields.get(_EXECUTION_ID, _NO_SPANS)),
        EventSpans(raw, fields.get(_PAST_EVENTS, _NO_SPANS)),
        EventSpans(raw, fields.get(_NEW_EVENTS, _NO_SPANS)),
        None if has_past else _left_out(raw, fields.get(_PROPERTIES, _NO_SPANS)),
        kept,
    )


def _outline(raw: bytes) -> Outline:
    kind = token = ""
    request: list[Span] = []
    for tag, start, stop in _fields(raw, 0, len(raw)):
        if tag == _COMPLETION_TOKEN:
            token = raw[start:stop].decode()
        elif (member := _KINDS.get(tag)) is not None:
            # Of two kinds the last one counts.
            if member != kind:
                kind = member
                request.clear()
            request.append((start, stop))
    return Outline(kind, request, token)


def _contents(raw: bytes, spans: Iterable[Span]) -> dict[int, list[Span]]:
    """The contents of the length-delimited fields in `spans`, by tag."""
    found: dict[int, list[Span]] = {}
    for start, end in spans:
        for tag, pos, stop in _fields(raw, start, end):
            if tag in found:
                found[tag].append((pos, stop))
            else:
                found[tag] = [(pos, stop)]
    return found


def _fields(raw: bytes, pos: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Tag, start and stop of each length-delimited field; the others are stepped over."""
    while pos < end:
        tag = raw[pos]
        pos += 1
        if tag > 0x7F:
            tag, pos = wire.rest_of_tag(raw, pos, tag)
        if tag & 7 != wire.LENGTH_DELIMITED or tag < 8:
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
        yield tag, pos, stop
        pos = stop


def _kept(raw: bytes, request: Mapping[int, Sequence[Span]], dialect: Dialect) -> int:
    spans = request.get(_cached_history_tag(dialect))
    if not spans:
        return 0
    # A message may come in several parts, each with some of the fields; this one never does.
    start, stop = spans[-1]
    return codec.decode(messages.CachedHistory, raw[start:stop], dialect).event_count


@cache
def _cached_history_tag(dialect: Dialect) -> int:
    """The tag of the cached history; 0, which no field has, where there is none."""
    number = dialect.field_number("OrchestratorRequest", "cached_history", _CACHED_HISTORY)
    return 0 if number is None else _tag(number)


def _left_out(raw: bytes, properties: Iterable[Span]) -> int | None:
    found: dict[str, Any] = {}
    for start, stop in properties:
        name, value_start, value_stop = wire.map_entry(raw, start, stop)
        if name in (INCLUDE_STATE, HISTORY_LENGTH):
            found[name] = json_values.value(raw, value_start, value_stop)
    if found.get(INCLUDE_STATE) is not False:
        return None
    length = found.get(HISTORY_LENGTH)
    return length if type(length) is int and length > 0 else 0


def _text(raw: bytes, spans: Sequence[Span]) -> str:
    # Of a field that occurs twice the last one counts.
    return raw[slice(*spans[-1])].decode() if spans else ""


def _wrapped_text(raw: bytes, spans: Sequence[Span]) -> str:
    value = ""
    for start, stop in spans:
        value = wire.string_value(raw, start, stop, value)
    return value


# A batch of entity operations in the older form has no execution id.
_EXECUTION_ID_READERS = {ACTIVITY_REQUEST: _wrapped_text, ENTITY_REQUEST_V2: _text}
