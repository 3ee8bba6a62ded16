"""Open a database file as ours: alone, of a version we know, with the schema in place."""

from __future__ import annotations

import sqlite3
from importlib import resources
from typing import TYPE_CHECKING

from . import ForeignFileError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

# "DTpy": says whose file it is to whoever looks at its header.
APPLICATION_ID = 0x44547079

_MAGIC = b"SQLite format 3\0"

_MIGRATIONS = resources.files(__package__) / "migrations"


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """The connection to a file that is there afterwards and has today's schema.

    Raises StoreError when it cannot be read or written, ForeignFileError when it is not
    ours or newer than this code.
    """
    _refuse_strangers(path)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    try:
        _configure(connection, path, synchronous)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(f"cannot use {path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_strangers(path: Path) -> None:
    """Raise for a file that is no database; SQLite takes a small one for empty, and its room."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from error
    if head and head != _MAGIC:
        raise ForeignFileError(f"{path} is not a database; name another file")


def _configure(connection: sqlite3.Connection, path: Path, synchronous: str) -> None:
    version = _version(connection, path)
    if version == 0:
        # It can only be set before the first table is made.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    _check_integrity(connection, path)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    _migrate(connection, version)


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Raise when pages are damaged: a sidecar that went on would lose what is still whole."""
    ((verdict,),) = connection.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        # It begins with the name of the database, in lines of its own.
        reason = str(verdict).splitlines()[-1]
        raise StoreError(
            f"{path} is damaged ({reason}); keep a copy of it, and start on a backup or "
            "another file"
        )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the schema, 0 for a new file."""
    owner = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (owner or tables):
        raise ForeignFileError(f"{path} is a database of another program; name another file")
    version = _pragma(connection, "user_version")
    newest = len(_migrations())
    if version > newest:
        raise ForeignFileError(
            f"{path} was written by a newer durabletask-sidecar (schema {version}, this one "
            f"knows {newest}); upgrade durabletask-sidecar, or name another file"
        )
    return version


def log_size(path: Path) -> int:
    """How many bytes wait beside the file to be written into it."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that sees one moment of a file, whoever writes to it meanwhile.

    Raises StoreError when it cannot be read, ForeignFileError when it is not ours, or of
    another version than this code. The file itself is never opened but by SQLite: where a
    sidecar lives in this very process, to close the file would drop SQLite's locks on it.
    """
    if not path.is_file():
        raise StoreError(f"there is no file {path}")
    # Who may not write leaves an empty log behind. Who may, writes when it closes what a
    # sidecar that was killed has left in the log; so only where there is nothing in it.
    mode = "ro" if log_size(path) else "rw"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        _check_current(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(f"cannot read {path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check_current(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    if version == 0:
        raise ForeignFileError(f"{path} is empty; name a file that a sidecar has written")
    if version < len(_migrations()):
        raise ForeignFileError(
            f"{path} was written by an older durabletask-sidecar; start this one on it once, "
            "which brings it up to date"
        )


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for number, script in enumerate(_migrations()[version:], version + 1):
        # One script with its own transaction: executescript commits what is open.
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )


def _migrations() -> list[str]:
    files = sorted(
        (file for file in _MIGRATIONS.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return [file.read_text(encoding="utf-8") for file in files]


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
