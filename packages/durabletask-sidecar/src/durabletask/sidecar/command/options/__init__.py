"""The groups of options, one module each.

A new group is a module with `add`, and `read` that returns a frozen value (or a plain one,
where the group is a single option), and a line here for each sub-command that has it. Flags
that are only set or not use `argparse.BooleanOptionalAction`, so that a file can say both.

Knows nothing about what is done with the options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from . import dialect, logs, network, operations, retention, security, storage

if TYPE_CHECKING:
    import argparse

__all__ = [
    "FOR_EXEC",
    "FOR_SERVE",
    "Group",
    "dialect",
    "logs",
    "network",
    "operations",
    "retention",
    "security",
    "storage",
]


class Group(Protocol):
    """Options that belong together; each module here is one."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Let the parser know the options, with their help."""
        ...


FOR_SERVE: tuple[Group, ...] = (
    network,
    security,
    storage,
    retention,
    dialect,
    operations,
    logs,
)

FOR_EXEC: tuple[Group, ...] = (
    storage,
    retention,
    dialect,
    logs,
)
