"""The layout of a message on the wire: its fields with the numbers of one dialect.

Read from the metadata of the generated dataclasses, once for each message and dialect.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import betterproto2

    from durabletask.protocol.dialects import Dialect


class FieldKind(Enum):
    """How the value of a field looks on the wire and in Python."""

    STRING = auto()
    BYTES = auto()
    BOOL = auto()
    INT32 = auto()
    UINT32 = auto()
    ENUM = auto()
    MESSAGE = auto()
    STRING_VALUE = auto()  # wrappers: the plain value, or None
    BOOL_VALUE = auto()
    INT32_VALUE = auto()
    TIMESTAMP = auto()
    DURATION = auto()
    STRING_MAP = auto()
    JSON_MAP = auto()  # google.protobuf.Value on the wire, JSON text in Python

    @property
    def is_map(self) -> bool:
        return self in (FieldKind.STRING_MAP, FieldKind.JSON_MAP)

    @property
    def is_varint(self) -> bool:
        return self in (FieldKind.BOOL, FieldKind.INT32, FieldKind.UINT32, FieldKind.ENUM)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message, under the number it has in the layout's dialect."""

    name: str
    number: int
    kind: FieldKind
    repeated: bool
    optional: bool
    """Whether unset is None, so that a set default value must be written."""
    in_oneof: bool
    type: type[Any] | None
    """The class of a nested message or an enum."""

    @property
    def holds_many(self) -> bool:
        return self.repeated or self.kind.is_map

    @property
    def type_name(self) -> str:
        return "" if self.type is None else self.type.__name__


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """A message in one dialect: its fields in the order of their numbers."""

    message_class: type[betterproto2.Message]
    dialect: Dialect
    fields: tuple[Field, ...]
    absent: tuple[Field, ...]
    """Fields that the dialect has no number for."""

    @property
    def name(self) -> str:
        return self.message_class.__name__

    @property
    def has_oneof(self) -> bool:
        return any(field.in_oneof for field in self.fields)


_SCALARS = {
    "string": FieldKind.STRING,
    "bytes": FieldKind.BYTES,
    "bool": FieldKind.BOOL,
    "int32": FieldKind.INT32,
    "uint32": FieldKind.UINT32,
    "enum": FieldKind.ENUM,
}

_WELL_KNOWN = {
    "StringValue": FieldKind.STRING_VALUE,
    "BoolValue": FieldKind.BOOL_VALUE,
    "Int32Value": FieldKind.INT32_VALUE,
    "Timestamp": FieldKind.TIMESTAMP,
    "Duration": FieldKind.DURATION,
}

# Microsoft's contract has map<string, google.protobuf.Value> here; canonical.proto says
# map<string, string>, because our messages hold JSON text.
JSON_MAPS = frozenset(
    {
        ("EntityBatchRequest", "properties"),
        ("OrchestratorRequest", "properties"),
        ("TaskFailureDetails", "properties"),
    }
)


def layout(message_class: type[betterproto2.Message], dialect: Dialect) -> MessageLayout:
    """The layout of `message_class` in `dialect`."""
    present, absent = [], []
    for declared in dataclasses.fields(message_class):  # type: ignore[arg-type]
        canonical = declared.metadata["betterproto"].number
        number = dialect.field_number(message_class.__name__, declared.name, canonical)
        if number is None:
            absent.append(_field(message_class, declared, canonical))
        else:
            present.append(_field(message_class, declared, number))
    present.sort(key=lambda field: field.number)
    return MessageLayout(message_class, dialect, tuple(present), tuple(absent))


def _field(
    message_class: type[betterproto2.Message], declared: dataclasses.Field[Any], number: int
) -> Field:
    meta = declared.metadata["betterproto"]
    kind = _kind(message_class.__name__, declared.name, meta)
    return Field(
        name=declared.name,
        number=number,
        kind=kind,
        repeated=bool(meta.repeated),
        optional=bool(meta.optional),
        in_oneof=bool(meta.group),
        type=_type(message_class, declared)
        if kind in (FieldKind.MESSAGE, FieldKind.ENUM)
        else None,
    )


def _kind(message: str, name: str, meta: betterproto2.FieldMetadata) -> FieldKind:
    if meta.proto_type == "map":
        return FieldKind.JSON_MAP if (message, name) in JSON_MAPS else FieldKind.STRING_MAP
    if meta.proto_type != "message":
        return _SCALARS[meta.proto_type]
    return FieldKind.MESSAGE if meta.unwrap is None else _WELL_KNOWN[meta.unwrap().__name__]


def _type(message_class: type[betterproto2.Message], declared: dataclasses.Field[Any]) -> type[Any]:
    # Generated annotations are "X", "X | None" or "list[X]". typing.get_type_hints would
    # evaluate all of the class's each time: 12 ms for HistoryEvent.
    annotation = str(declared.type)
    name = annotation.removesuffix(" | None").removeprefix("list[").removesuffix("]")
    found: type[Any] = getattr(sys.modules[message_class.__module__], name)
    return found
