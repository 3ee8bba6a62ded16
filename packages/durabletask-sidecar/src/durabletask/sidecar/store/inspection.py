"""Read a snapshot of a database file, for checking its integrity while a sidecar uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import Key, files, rows, statements
from .sqlite_reader import SqliteReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

# SQLite stops after this many problems.
_MOST_DAMAGE = 100


class Inspection(SqliteReader):
    """A snapshot of a file. Raises StoreError when it cannot be read at all."""

    def __init__(self, path: Path) -> None:
        self._opened = files.connect_to_read(path)
        super().__init__(self._opened)

    def close(self) -> None:
        self._opened.close()

    def damage(self) -> Iterator[str]:
        """What SQLite finds wrong with pages and indexes."""
        for (text,) in self._read(f"PRAGMA integrity_check({_MOST_DAMAGE})", ()):
            # The first lines give the name of the database.
            yield from (line for line in str(text).splitlines() if line not in ("ok", _TITLE))

    def all_instances(self) -> Iterator[Key]:
        return (Key(*columns) for columns in self._read(statements.ALL_INSTANCES, ()))

    def all_entities(self) -> Iterator[Key]:
        return (Key(*columns) for columns in self._read(statements.ALL_ENTITIES, ()))

    def orphans(self) -> Iterator[tuple[str, Key]]:
        """Tables with rows of instances or entities that do not exist, and the keys in these rows."""
        for table, statement in statements.ORPHANS:
            for columns in self._read(statement, ()):
                yield table, Key(*columns)

    def pieces(self, key: Key) -> list[tuple[int, bytes]]:
        """The history as it was written: the place of the first event of each piece, and its events."""
        return self._query(statements.LOAD_PIECES, key)

    def due_at(self, key: Key) -> datetime | None:
        """When the instance has something to do."""
        return self._moment(statements.LOAD_DUE, key)

    def entity_due_at(self, key: Key) -> datetime | None:
        """When the entity has operations to run."""
        return self._moment(statements.LOAD_ENTITY_DUE, key)

    def _moment(self, statement: str, key: Key) -> datetime | None:
        found = self._query(statement, key)
        return rows.moment(found[0][0]) if found else None


_TITLE = "*** in database main ***"
