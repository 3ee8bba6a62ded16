"""Check a file: what SQLite says of it, every history, and what belongs together.

A file that is damaged has parts that are whole, and is checked as far as it can be read.

Knows nothing about what is right: SQLite and the audit do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from durabletask.sidecar.audit import Finding, entities, histories, instances, links, pieces
from durabletask.sidecar.store import Key, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from durabletask.sidecar.store.inspection import Inspection

# What reading raises that nobody wrote: StoreError where SQLite cannot, the others where
# what it finds is no time, no number, no JSON, no message, or not there. A number in the
# place of bytes is taken for how many.
_UNREADABLE = (StoreError, ValueError, TypeError, OverflowError, MemoryError)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, and where."""

    rule: str
    text: str
    key: Key | None = None
    """Whose history or rows; None for the file."""


def complaints(file: Inspection, progress: Callable[[], None]) -> Iterator[Complaint]:
    """Everything that is wrong, as it is found; `progress` is called for each that is read."""
    yield from _of_file(file)
    yield from _each(file.all_instances, partial(_of_instance, file), progress)
    yield from _each(file.all_entities, partial(_of_entity, file), progress)


def _of_file(file: Inspection) -> Iterator[Complaint]:
    try:
        for text in file.damage():
            yield Complaint("integrity", text)
        for table, key in file.orphans():
            yield Complaint("owned", f"rows of {table} belong to nobody", key)
    except StoreError as error:
        yield Complaint("readable", str(error))


def _each(
    find: Callable[[], Iterable[Key]],
    look: Callable[[Key], Iterable[Finding]],
    progress: Callable[[], None],
) -> Iterator[Complaint]:
    try:
        for key in find():
            progress()
            yield from _of_one(key, look)
    except StoreError as error:
        yield Complaint("readable", str(error))


def _of_one(key: Key, look: Callable[[Key], Iterable[Finding]]) -> Iterator[Complaint]:
    try:
        for finding in look(key):
            yield Complaint(finding.rule, finding.text, key)
    except _UNREADABLE as error:
        yield Complaint("readable", str(error), key)


def _of_instance(file: Inspection, key: Key) -> Iterator[Finding]:
    events, wrong = pieces.decode(pieces.Piece(*each) for each in file.pieces(key))
    yield from wrong
    instance = file.load(key)
    # What cannot be read has left a gap, of which everything else would be wrong too.
    if instance is not None and not wrong:
        yield from histories.findings(events)
        yield from instances.findings(instances.Record(instance, file.due_at(key), events))
    if instance is not None:
        of_hub = partial(Key, key.hub)
        yield from links.of_instance(
            instance,
            lambda name: file.load(of_hub(name)),
            lambda name: file.load_entity(of_hub(name)),
        )


def _of_entity(file: Inspection, key: Key) -> Iterator[Finding]:
    entity = file.load_entity(key)
    if entity is not None:
        yield from entities.findings(entity, file.entity_due_at(key))
        yield from links.of_entity(entity, lambda name: file.load(Key(key.hub, name)))
