"""Compile the functions that read and write messages, one at a time, on first use.

`decoding` and `encoding` generate the source of a function; here it is compiled, registered so
that tracebacks can show it, and linked to the functions of the messages inside it.
"""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any

from durabletask.protocol import blank_messages, decoding, encoding, layouts
from durabletask.protocol.wire import int32

if TYPE_CHECKING:
    from collections.abc import Callable

    from durabletask.protocol.dialects import Dialect


class Functions:
    """The functions compiled so far for one dialect.

    They find each other by name in one namespace, as the functions of a module do. Compiling
    one twice, in two threads at once, is harmless: both are the same, either may win.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.fills: dict[type[Any], Callable[..., None]] = {}
        self.encoders: dict[type[Any], Callable[[Any], bytes]] = {}
        self._dialect = dialect
        self._namespace: dict[str, Any] = {
            **decoding.primitives(dialect),
            **encoding.primitives(dialect),
        }

    def compile_fill(self, message_class: type[Any]) -> Callable[..., None]:
        layout = layouts.layout(message_class, self._dialect)
        blank_messages.share_defaults(message_class)
        for field in layout.fields:
            self._link(field, "fill", self.compile_fill)
        fill: Callable[..., None] = self._compiled(f"fill_{layout.name}", decoding.source(layout))
        self.fills[message_class] = fill
        return fill

    def compile_encoder(self, message_class: type[Any]) -> Callable[[Any], bytes]:
        layout = layouts.layout(message_class, self._dialect)
        blank_messages.share_defaults(message_class)
        for field in layout.fields:
            self._link(field, "encode", self.compile_encoder)
        write: Callable[[Any], bytes] = self._compiled(
            f"encode_{layout.name}", encoding.source(layout)
        )
        self.encoders[message_class] = write
        return write

    def _link(
        self, field: layouts.Field, verb: str, make: Callable[[type[Any]], Callable[..., Any]]
    ) -> None:
        """Add to the namespace the names that a function needs for a field's type."""
        if field.type is None:
            return
        name = field.type.__name__
        if field.kind is layouts.FieldKind.ENUM:
            self._namespace.setdefault(f"read_{name}", _enum_reader(field.type, self._dialect))
            self._namespace.setdefault(f"write_{name}", _enum_writer(field.type, self._dialect))
            return
        self._namespace.setdefault(name, field.type)
        nested_class = field.type

        # A placeholder: compiles the nested message's function when it is first called.
        def make_and_call(*arguments: Any) -> Any:
            return make(nested_class)(*arguments)

        self._namespace.setdefault(f"{verb}_{name}", make_and_call)

    def _compiled(self, name: str, source: str) -> Any:
        filename = f"<durabletask.protocol {self._dialect.name} {name}>"
        # With no modification time the entry survives linecache.checkcache().
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        code = compile(source, filename, "exec")
        exec(code, self._namespace)  # noqa: S102 - source that this package generated
        return self._namespace[name]


def _enum_reader(enum: type[Any], dialect: Dialect) -> Callable[[int], Any]:
    members = {number: member for member, number in _enum_numbers(enum, dialect).items()}
    members.pop(None, None)

    def read(number: int) -> Any:
        member = members.get(number)
        # An unknown value is kept, as a member without a name.
        return enum(number) if member is None else member

    return read


def _enum_writer(enum: type[Any], dialect: Dialect) -> Callable[[int], bytes]:
    encoded = {
        member: b"" if number is None else int32(number)
        for member, number in _enum_numbers(enum, dialect).items()
    }

    def write(value: int) -> bytes:
        found = encoded.get(value)
        return int32(value) if found is None else found

    return write


def _enum_numbers(enum: type[Any], dialect: Dialect) -> dict[Any, int | None]:
    """The dialect's number for each value that we know; None where it has none."""
    return {member: dialect.enum_value(enum.__name__, int(member)) for member in enum}
