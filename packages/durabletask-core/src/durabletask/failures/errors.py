"""The root of the error tree and the error that belongs to no other file."""

from __future__ import annotations


class DurableTaskError(Exception):
    """Anything Durable Task itself raises; catch it to catch them all."""

    __module__ = "durabletask.failures"


class OrchestrationStateError(DurableTaskError):
    """The engine sent something no instance can be in, such as an unknown kind of event."""

    __module__ = "durabletask.task"
