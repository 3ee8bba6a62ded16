"""Write log records as lines, for people or for machines.

A record has a message that is the same for all its kind, and fields that say what it is about,
given as `extra`. Only the fields listed here are written, so that nothing gets into the log
that nobody thought of: never inputs, results, tokens or metadata.

Knows nothing about what is logged.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = ("hub", "instance", "kind", "changes", "method", "status", "address", "storage")

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class Logs:
    """What is worth a line, and how it looks."""

    level: str = "warning"
    format: str = "text"


def configure(logs: Logs, stream: TextIO) -> None:
    """Send what this process logs to the stream, unless somebody else saw to it already."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if logs.format == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=_level("warning"))
    # Who wants to see all of the sidecar does not want to see all of the libraries below it.
    logging.getLogger("durabletask").setLevel(_level(logs.level))


def keep_metadata_out() -> None:
    """Have gRPC not tell of metadata that is no text: it would tell all of it, tokens too."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(_has_no_metadata)


class TextLines(logging.Formatter):
    """Time, level, logger, message and fields; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        # Fields are written as JSON: a line break in one must not look like a line of ours.
        fields = "".join(f" {key}={json.dumps(value)}" for key, value in _fields(record).items())
        # A message may name what a peer made up, in the text of an error.
        message = "\\n".join(record.getMessage().splitlines())
        line = f"{_time(record)} {record.levelname} {record.name}: {message}{fields}"
        error = _error(self, record)
        return f"{line}\n{error}" if error else line


class JsonLines(logging.Formatter):
    """One JSON object a line, with the same; a traceback is its `error`."""

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
