"""Open a database file as ours: alone, of a version we know, with the schema in place."""

from __future__ import annotations

import os
import sqlite3
import sys
from importlib import resources
from pathlib import Path

from . import ForeignFileError, StoreError

# What SQLite calls a database that is in no file.
MEMORY = ":memory:"

# Files beside a database that belong to it: SQLite's logs, and our lock.
LOG = "-wal"
LOCK = ".lock"
_ALL = (LOG, "-shm", "-journal", LOCK)

# "DTpy": says whose file it is to whoever looks at its header.
APPLICATION_ID = 0x44547079

# The latter when SQLite quotes a name that is damaged: Python cannot read what it says.
FAILURES = (sqlite3.Error, UnicodeDecodeError)

_MAGIC = b"SQLite format 3\0"

# Where the header has the size of a page, and the size that is written there as 1.
_PAGE_SIZE = slice(16, 18)
_LARGEST_PAGE = 65536

# More than this is given back to the disk once the log begins anew: it grows as long as a
# backup reads, and would keep its greatest size ever after.
_LARGEST_LOG = 64 * 1024 * 1024

_WHAT_TO_DO = "keep a copy of it, and start on a backup or another file"

_MIGRATIONS = resources.files(__package__) / "migrations"


def companion(path: Path, suffix: str) -> Path:
    """The file that belongs to the one at `path`.

    SQLite follows links before it names its log. So do we: with two names for one file, each
    would have a log that nobody writes, and a lock of its own.
    """
    return Path(os.path.realpath(path) + suffix)


def is_companion(part: Path, path: Path) -> bool:
    """Whether `part` is one of the files that belong to the one at `path`."""
    return Path(os.path.realpath(part)) in {companion(path, suffix) for suffix in _ALL}


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """The connection to a file that is there afterwards and has today's schema.

    Raises StoreError when it cannot be read or written, ForeignFileError when it is not
    ours or newer than this code.
    """
    _refuse_strangers(path)
    _refuse_orphans(path)
    _refuse_cut_page(path)
    # An absolute path is never taken for a URI, nor for the name of a database in memory.
    return _connect(path, str(path.absolute()), synchronous)


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
    """What the error says, in one line: SQLite quotes whole definitions of tables."""
    return " ".join(str(error).split())


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


def _refuse_orphans(path: Path) -> None:
    """Raise when the file is gone or empty and its log is not; SQLite would delete the log."""
    log = _log(path)
    if _size(log) and not _size(path):
        raise StoreError(
            f"{path} is empty or gone, but {log.name} beside it still holds changes of it; "
            "put the file back, or remove both to start anew"
        )


def _refuse_cut_page(path: Path) -> None:
    """Raise when the last page is not whole; SQLite takes what is missing for zeros."""
    size = _size(path)
    if not size or _size(_log(path)):
        # With a log it may be that a checkpoint was interrupted, which the log makes good.
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
        # It can only be set before the first table is made.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_LOG}")
    _check_integrity(connection, path)
    _check_writable(connection, version)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    _migrate(connection, version)


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Raise when pages are damaged: a sidecar that went on would lose what is still whole."""
    ((verdict,),) = connection.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        # It begins with the name of the database, in lines of its own.
        complaint = str(verdict).splitlines()[-1]
        raise StoreError(f"{path} is damaged ({complaint}); {_WHAT_TO_DO}")


def _check_writable(connection: sqlite3.Connection, version: int) -> None:
    """Raise what the first commit would: SQLite opens a file that it may only read."""
    connection.execute("BEGIN IMMEDIATE")  # succeeds all the same
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("ROLLBACK")


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
    return _size(_log(path))


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that sees one moment of a file, whoever writes to it meanwhile.

    Raises StoreError when it cannot be read, ForeignFileError when it is not ours, or of
    another version than this code. The file itself is never opened but by SQLite: where a
    sidecar lives in this very process, to close the file would drop SQLite's locks on it.
    """
    if not path.is_file():
        raise StoreError(f"there is no file {path}")
    uri = f"{path.absolute().as_uri()}?{_way_to_read(path)}"
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


def _way_to_read(path: Path) -> str:
    """What leaves everything as it was: what SQLite is to be told."""
    if log_size(path):
        # Who may write, writes when it closes what a sidecar that was killed has left there.
        return "mode=ro"
    if _is_for_reading_only(path):
        # Not even SQLite's index of the log can be made there, and nobody can change the file.
        return "mode=ro&immutable=1"
    # Who may not write leaves an empty log behind.
    return "mode=rw"


def _is_for_reading_only(path: Path) -> bool:
    """Whether nobody can write there, as on a snapshot or a medium that is kept apart."""
    if sys.platform == "win32":
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


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
