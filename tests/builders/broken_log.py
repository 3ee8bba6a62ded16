"""A log of which a part raises."""

from __future__ import annotations

import logging
from typing import Literal

Part = Literal["handler", "filter", "formatter"]


def broken_log(error: BaseException, part: Part = "handler") -> logging.Logger:
    """A logger in which that part raises the error for every record, of whatever level."""
    # Of its own: what is broken in one test must not be in the next.
    log = logging.Logger("broken", logging.DEBUG)  # noqa: LOG001
    log.addHandler(_BrokenHandler(error, part))
    return log


class _BrokenHandler(logging.Handler):
    """Does not catch what formatting raises, unlike most of the standard handlers."""

    def __init__(self, error: BaseException, part: Part) -> None:
        super().__init__()
        self._error = error
        self._part = part
        self.setFormatter(_BrokenFormatter(error))

    def filter(self, record: logging.LogRecord) -> bool:
        if self._part == "filter":
            raise self._error
        return True

    def emit(self, record: logging.LogRecord) -> None:
        if self._part == "formatter":
            self.format(record)
        raise self._error


class _BrokenFormatter(logging.Formatter):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def format(self, record: logging.LogRecord) -> str:
        raise self._error
