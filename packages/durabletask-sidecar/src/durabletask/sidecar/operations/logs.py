"""Write log records as lines of text, or as one JSON object per line.

A record has a message and fields, given as `extra`, that say what the message is about. Only
the fields listed here are written, so inputs, results, tokens and metadata never get into the
log.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = (
    "hub",
    "instance_id",
    "execution_id",
    "task_name",
    "task_id",
    "kind",
    "attempt",
    "changes",
    "method",
    "status",
    "address",
    "storage",
)

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The lowest level that is written, one of `LEVELS`, and the format, one of `FORMATS`."""

    level: str = "warning"
    format: str = "text"


def configure(options: LogOptions, stream: TextIO) -> None:
    """Write the log of this process to the stream, unless logging is configured already."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if options.format == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=_level("warning"))
    # The level applies to the sidecar alone: libraries stay at warnings.
    logging.getLogger("durabletask").setLevel(_level(options.level))


def drop_grpc_metadata() -> None:
    """Drop gRPC's log record about malformed metadata, which holds all of it, tokens too."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(_has_no_metadata)


class TextLines(logging.Formatter):
    """Time, level, logger, message and fields on one line; a traceback follows on more lines."""

    def format(self, record: logging.LogRecord) -> str:
        # As JSON, because a line break in a field must not look like another log line.
        fields = "".join(f" {key}={json.dumps(value)}" for key, value in _fields(record).items())
        # A message may hold text from a peer, in the text of an error.
        message = "\\n".join(record.getMessage().splitlines())
        line = f"{_time(record)} {record.levelname} {record.name}: {message}{fields}"
        error = _error(self, record)
        return f"{line}\n{error}" if error else line


class JsonLines(logging.Formatter):
    """The same as one JSON object per line; the traceback is its `error`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        error = _error(self, record)
        if error:
            line["error"] = error
        return json.dumps(line)


def _has_no_metadata(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Invalid encoding")


def _level(name: str) -> int:
    return logging.getLevelNamesMapping()[name.upper()]


def _time(record: logging.LogRecord) -> str:
    when = datetime.fromtimestamp(record.created, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Mapping[str, str | int]:
    given = vars(record)
    return {name: given[name] for name in _FIELDS if given.get(name) is not None}


def _error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
