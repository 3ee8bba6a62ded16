"""Failure details: the description of an exception that crosses processes and languages.

`capture` makes them from an exception, `wire` converts them to messages and back.
"""

# No `from __future__ import annotations`: `typing.get_type_hints` would look the names up in
# the module that `__module__` claims, and data converters ask it about the fields.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """How something failed, as text that can be sent.

    `stack_trace` is None if the peer sent none. `properties` are what an
    `ExceptionPropertiesProvider` added: plain JSON values.

    Example:
        try:
            yield ctx.call_activity(charge, input=order)
        except TaskFailedError as error:
            if error.details.is_caused_by(TimeoutError):
                ...
    """

    message: str
    error_type: str
    stack_trace: str | None
    inner_failure: "FailureDetails | None" = None
    properties: Mapping[str, Any] | None = None

    def __hash__(self) -> int:
        # Without the properties: a mapping has no hash.
        return hash((self.message, self.error_type, self.stack_trace, self.inner_failure))

    def is_caused_by(self, error_type: str | type[BaseException]) -> bool:
        """Whether the failure was an exception of that type; inner failures are not considered.

        A type also matches its subclasses, if this process has imported them. Text is compared
        as `module.QualName`, or by the last segment if either side has no module. Anything else
        raises TypeError.
        """
        if isinstance(error_type, str):
            return _same_name(self.error_type, error_type)
        if isinstance(error_type, type) and issubclass(error_type, BaseException):
            names = map(qualified_name, _family(error_type))
            return any(_same_name(self.error_type, name) for name in names)
        raise TypeError(
            "is_caused_by() expects an exception type or a type-name string, "
            f"but got {error_type!r}."
        )


# Only now: the dataclass decorator looks annotations up in the module that `__module__` names.
FailureDetails.__module__ = "durabletask.task"


def qualified_name(error_type: type[BaseException]) -> str:
    """The name of this type in failure details, e.g. `builtins.ValueError`."""
    return f"{error_type.__module__}.{error_type.__qualname__}"


def portable(text: str) -> str:
    r"""The text with lone surrogates escaped, such as `\udce9` from a file name.

    UTF-8 cannot hold them, so a message with one could not be sent at all.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _same_name(stored: str, asked: str) -> bool:
    if "." in stored and "." in asked:
        return stored == asked
    # Other languages, and SDKs before 1.9, send the bare class name.
    return stored.rpartition(".")[2] == asked.rpartition(".")[2]


def _family(error_type: type[BaseException]) -> Iterator[type[BaseException]]:
    """The type and all its subclasses."""
    yield error_type
    for subclass in error_type.__subclasses__():
        yield from _family(subclass)
