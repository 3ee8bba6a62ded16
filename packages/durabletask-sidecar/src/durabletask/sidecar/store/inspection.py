"""Read a file as it is, to say what is wrong with it: one moment, whoever serves it.

Knows nothing about what is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import Key, files, rows, statements
from .sqlite_reader import SqliteReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

# Where there is more, the rest says nothing new.
_MOST_DAMAGE = 100


class Inspection(SqliteReader):
    """A file that is looked at. Raises StoreError when it cannot be read at all."""

    def __init__(self, path: Path) -> None:
        self._opened = files.connect_to_read(path)
        super().__init__(self._opened)

    def close(self) -> None:
        self._opened.close()

    def damage(self) -> Iterator[str]:
        """What SQLite finds wrong with pages and indexes."""
        for (text,) in self._read(f"PRAGMA integrity_check({_MOST_DAMAGE})", ()):
            # It begins with the name of the database, in lines of its own.
            yield from (line for line in str(text).splitlines() if line not in ("ok", _TITLE))

    def all_instances(self) -> Iterator[Key]:
        return (Key(*columns) for columns in self._read(statements.ALL_INSTANCES, ()))

    def all_entities(self) -> Iterator[Key]:
        return (Key(*columns) for columns in self._read(statements.ALL_ENTITIES, ()))

    def orphans(self) -> Iterator[tuple[str, Key]]:
        """Tables with rows that belong to nobody, and whose they would be."""
        for table, statement in statements.ORPHANS:
            for columns in self._read(statement, ()):
                yield table, Key(*columns)

    def pieces(self, key: Key) -> list[tuple[int, bytes]]:
        """The history as it was written: where each piece begins, and its events."""
        return self._query(statements.LOAD_PIECES, key)

    def due_at(self, key: Key) -> datetime | None:
        """When the instance is woken."""
        return self._moment(statements.LOAD_DUE, key)

    def entity_due_at(self, key: Key) -> datetime | None:
        """When the entity is woken."""
        return self._moment(statements.LOAD_ENTITY_DUE, key)

    def _moment(self, statement: str, key: Key) -> datetime | None:
        found = self._query(statement, key)
        return rows.moment(found[0][0]) if found else None


_TITLE = "*** in database main ***"
