"""Open database files, and refuse those that a sidecar did not write or that are damaged.

A file that is opened for writing has the current schema. The functions that open one also
know which files beside it belong to it.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from importlib import resources
from pathlib import Path

from . import ForeignFileError, StoreError

# What SQLite calls a database that is in no file.
MEMORY = ":memory:"

# Suffixes of the files that belong to a database: SQLite's logs, and the sidecar's lock.
LOG = "-wal"
LOCK = ".lock"
_ALL = (LOG, "-shm", "-journal", LOCK)

# "DTpy", in the header of each file that a sidecar has written.
APPLICATION_ID = 0x44547079

# UnicodeDecodeError when the message of SQLite quotes a damaged name.
FAILURES = (sqlite3.Error, UnicodeDecodeError)

_MAGIC = b"SQLite format 3\0"

# Where the header has the page size, and the size that is written there as 1.
_PAGE_SIZE = slice(16, 18)
_LARGEST_PAGE = 65536

# The log is truncated to this when it starts over: it grows while a backup is read, and would
# keep its largest size from then on.
_LARGEST_LOG = 64 * 1024 * 1024

_WHAT_TO_DO = "keep a copy of it, and start with a backup or another file"

_MIGRATIONS = resources.files(__package__) / "migrations"


def companion(path: Path, suffix: str) -> Path:
    """The file with this suffix that belongs to the database at `path`.

    Links are resolved first, as SQLite does for its logs: otherwise two names of one file
    would have two locks.
    """
    return Path(os.path.realpath(path) + suffix)


def is_companion(part: Path, path: Path) -> bool:
    """Whether `part` is one of the files that belong to the database at `path`."""
    return Path(os.path.realpath(part)) in {companion(path, suffix) for suffix in _ALL}


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection to the file, which is created if needed and has the current schema.

    Raises StoreError when it cannot be read or written, ForeignFileError when no sidecar or
    a newer one wrote it.
    """
    _refuse_strangers(path)
    _refuse_orphans(path)
    _refuse_cut_page(path)
    # An absolute path is never taken for a URI, nor for the name of a database in memory.
    return _connect(path, str(path.absolute()), synchronous)


def connect_beside(path: Path) -> sqlite3.Connection:
    """Another connection to a file that is open already; it only reads.

    Raises StoreError when it cannot be opened.
    """
    # A file that has gone must not be created anew.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
    except FAILURES as error:
        raise StoreError(f"cannot open {path} a second time: {reason(error)}") from error
    return connection


def connect_in_memory(synchronous: str) -> sqlite3.Connection:
    """The connection to a new database that is never written to a disk."""
    return _connect(Path(MEMORY), MEMORY, synchronous)


def _connect(path: Path, database: str, synchronous: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    except FAILURES as error:
        raise StoreError(f"cannot open {path}: {reason(error)}") from error
    try:
        _configure(connection, path, synchronous)
    except FAILURES as error:
        connection.close()
        raise StoreError(f"cannot use {path}: {reason(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def reason(error: Exception) -> str:
    """The text of the error in one line: SQLite quotes whole definitions of tables."""
    return " ".join(str(error).split())


def _refuse_strangers(path: Path) -> None:
    """Raise for a file that is not a database: SQLite takes a small one for empty."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from error
    if head and head != _MAGIC:
        raise ForeignFileError(f"{path} is not an SQLite database; choose another file")


def _refuse_orphans(path: Path) -> None:
    """Raise when the file is missing or empty but its log is not: SQLite would delete the log."""
    log = _log(path)
    if _size(log) and not _size(path):
        raise StoreError(
            f"{path} is empty or missing, but its log {log.name} still has changes; "
            "put the file back, or remove both to start with an empty file"
        )


def _refuse_cut_page(path: Path) -> None:
    """Raise when the last page is incomplete: SQLite reads what is missing as zeros."""
    size = _size(path)
    if not size or _size(_log(path)):
        # With a log, a checkpoint may have been interrupted, which SQLite repairs.
        return
    with path.open("rb") as file:
        page_size = int.from_bytes(file.read(_PAGE_SIZE.stop)[_PAGE_SIZE], "big")
    if size % (_LARGEST_PAGE if page_size == 1 else page_size or size):
        raise StoreError(f"{path} is damaged (it ends in the middle of a page); {_WHAT_TO_DO}")


def _log(path: Path) -> Path:
    return companion(path, LOG)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from error


def _configure(connection: sqlite3.Connection, path: Path, synchronous: str) -> None:
    version = _version(connection, path)
    if version == 0:
        # This can only be set before the first table is created.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_LOG}")
    _check_integrity(connection, path)
    _check_writable(connection, version)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    _migrate(connection, version)


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Raise when pages are damaged: writing on would lose what is still intact."""
    ((verdict,),) = connection.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        # The first lines give the name of the database.
        problem = str(verdict).splitlines()[-1]
        raise StoreError(f"{path} is damaged ({problem}); {_WHAT_TO_DO}")


def _check_writable(connection: sqlite3.Connection, version: int) -> None:
    """Raise what the first commit would raise: SQLite also opens files that it may only read."""
    connection.execute("BEGIN IMMEDIATE")  # succeeds on a read-only file, too
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the schema, 0 for a new file."""
    owner = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (owner or tables):
        raise ForeignFileError(f"{path} is a database of another program; choose another file")
    version = _pragma(connection, "user_version")
    newest = len(_migrations())
    if version > newest:
        raise ForeignFileError(
            f"{path} was written by a newer durabletask-sidecar (schema {version}, this one "
            f"supports {newest}); upgrade durabletask-sidecar, or choose another file"
        )
    return version


def log_size(path: Path) -> int:
    """The size of the log in bytes."""
    return _size(_log(path))


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that reads a snapshot of the file, whoever writes to it meanwhile.

    Raises StoreError when it cannot be read, ForeignFileError when no sidecar or one of
    another version wrote it. Only SQLite opens the file: when a sidecar runs in this process,
    closing the file would drop SQLite's locks on it.
    """
    if not path.is_file():
        raise StoreError(f"{path} does not exist")
    uri = f"{path.absolute().as_uri()}?{_read_mode(path)}"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    except FAILURES as error:
        raise StoreError(f"cannot open {path}: {reason(error)}") from error
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        _check_current(connection, path)
    except FAILURES as error:
        connection.close()
        raise StoreError(f"cannot read {path}: {reason(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _read_mode(path: Path) -> str:
    """The parameters of the URI with which SQLite leaves all files as they are."""
    if log_size(path):
        # A connection that may write would checkpoint the log of a killed sidecar on closing.
        return "mode=ro"
    if _is_on_read_only_medium(path):
        # SQLite cannot create its index of the log there, and nobody can change the file.
        return "mode=ro&immutable=1"
    # A connection that may not write would leave an empty log behind.
    return "mode=rw"


def _is_on_read_only_medium(path: Path) -> bool:
    """Whether nobody can write there, as on a mounted snapshot."""
    if sys.platform == "win32":
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _check_current(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    if version == 0:
        raise ForeignFileError(f"{path} is empty; choose a file that a sidecar has written")
    if version < len(_migrations()):
        raise ForeignFileError(
            f"{path} was written by an older durabletask-sidecar; start this one with it once to "
            "upgrade it"
        )


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for number, script in enumerate(_migrations()[version:], version + 1):
        # The script has its own transaction: executescript commits one that is open.
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
