"""Check a file: SQLite's own check, every history, and that related rows agree.

A damaged file is checked as far as it can be read. The rules are SQLite's and `audit`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from durabletask.sidecar.audit import Finding, entities, histories, instances
from durabletask.sidecar.store import Key, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from durabletask.sidecar.store.inspection import Inspection

# What reading damaged rows raises: StoreError where SQLite cannot read, the others where a
# value is no valid time, number, JSON or message, or is missing. MemoryError comes from an
# integer in the place of bytes, which `bytes` takes for a length.
_UNREADABLE = (StoreError, ValueError, TypeError, OverflowError, MemoryError)


@dataclass(frozen=True, slots=True)
class Problem:
    """One rule that does not hold, and where."""

    rule: str
    text: str
    key: Key | None = None
    """The instance or entity; None for the file as a whole."""


def problems(file: Inspection, progress: Callable[[], None]) -> Iterator[Problem]:
    """All problems, as they are found; `progress` is called for each instance and entity."""
    yield from _file_problems(file)
    yield from _each(file.all_instances, partial(_instance_findings, file), progress)
    yield from _each(file.all_entities, partial(_entity_findings, file), progress)


def _file_problems(file: Inspection) -> Iterator[Problem]:
    try:
        for text in file.damage():
            yield Problem("integrity", text)
        for table, key in file.orphans():
            yield Problem("owned", f"rows of {table} belong to no instance or entity", key)
    except StoreError as error:
        yield Problem("readable", str(error))


def _each(
    find: Callable[[], Iterable[Key]],
    look: Callable[[Key], Iterable[Finding]],
    progress: Callable[[], None],
) -> Iterator[Problem]:
    try:
        for key in find():
            progress()
            yield from _problems_of(key, look)
    except StoreError as error:
        yield Problem("readable", str(error))


def _problems_of(key: Key, look: Callable[[Key], Iterable[Finding]]) -> Iterator[Problem]:
    try:
        for finding in look(key):
            yield Problem(finding.rule, finding.text, key)
    except _UNREADABLE as error:
        yield Problem("readable", str(error), key)


def _instance_findings(file: Inspection, key: Key) -> Iterator[Finding]:
    pieces = file.pieces(key)
    events, wrong = histories.decode(histories.Piece(*each) for each in pieces)
    yield from wrong
    instance = file.load(key)
    # Events that cannot be read leave a gap, and other rules would only report that gap.
    if instance is not None and not wrong:
        yield from histories.findings(events)
        size = sum(len(encoded) for _, encoded in pieces)
        record = instances.Record(instance, file.due_at(key), events, size)
        yield from instances.findings(record)
    if instance is not None:
        of_hub = partial(Key, key.hub)
        yield from instances.link_findings(
            instance,
            lambda name: file.load(of_hub(name)),
            lambda name: file.load_entity(of_hub(name)),
        )


def _entity_findings(file: Inspection, key: Key) -> Iterator[Finding]:
    entity = file.load_entity(key)
    if entity is not None:
        yield from entities.findings(entity, file.entity_due_at(key))
        yield from entities.link_findings(entity, lambda name: file.load(Key(key.hub, name)))
