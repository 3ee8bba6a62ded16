"""The root of the error tree and the error that belongs to no other file."""

from __future__ import annotations


class DurableTaskError(Exception):
    """Anything Durable Task itself raises; catch it to catch them all."""

    __module__ = "durabletask.failures"


class UnsupportedByEngineError(DurableTaskError, NotImplementedError):
    """The code asked for something that the engine which keeps its history does not have.

    `engine` and `operation` name the two, `instead` says what to do about it.
    """

    __module__ = "durabletask.task"

    def __init__(self, engine: str, operation: str, instead: str) -> None:
        self.engine = engine
        self.operation = operation
        self.instead = instead
        super().__init__(f"{operation} is not possible on {engine}. {instead}")

    # Pickle rebuilds exceptions from args, which hold only the message.
    def __reduce__(self) -> tuple[type[UnsupportedByEngineError], tuple[str, str, str]]:
        return (type(self), (self.engine, self.operation, self.instead))


class OrchestrationStateError(DurableTaskError):
    """The engine sent something no instance can be in, such as an unknown kind of event."""

    __module__ = "durabletask.task"
