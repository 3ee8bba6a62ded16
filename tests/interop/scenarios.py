"""Scenarios that the SDKs of others run on our sidecar, in processes of their own."""

from __future__ import annotations

import json
import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar import Sidecar
from tools.peers.homes import UnavailableError, are_required

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class End:
    """How a scenario went: `error` is None when it passed, `warnings` is what the SDK logged."""

    error: str | None
    warnings: frozenset[str]


Ends = dict[str, End]


def read(printed: str) -> Ends:
    """Read what a peer's program printed."""
    told = json.loads(printed)
    return {name: End(end["error"], frozenset(end["warnings"])) for name, end in told.items()}


def names(sources: Iterable[Path], pattern: str) -> list[str]:
    """The scenarios in these source files; known without the peer being installed."""
    return [
        name
        for file in sorted(sources)
        for name in re.findall(pattern, file.read_text(), re.MULTILINE)
    ]


def chosen(request: pytest.FixtureRequest) -> list[str]:
    """The scenarios whose tests were chosen in this module: the others need not be played."""
    items = (item for item in request.session.items if item.path == request.path)
    marked = (getattr(item, "callspec", None) for item in items)
    return [spec.params["name"] for spec in marked if spec is not None and "name" in spec.params]


class _WarningLog(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(f"{record.name} {record.levelname}: {record.getMessage()}")


@contextmanager
def logged_sidecar(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A sidecar on a file, and every warning that it or anything of this process logs."""
    log = _WarningLog()
    logging.getLogger().addHandler(log)
    try:
        with Sidecar(folder / "tasks.db") as address:
            yield address, log.warnings
    finally:
        logging.getLogger().removeHandler(log)


@contextmanager
def needed() -> Iterator[None]:
    """Skip where the peer cannot be had on this machine, or fail where it has to be."""
    try:
        yield
    except UnavailableError as missing:
        end: Any = pytest.fail if are_required() else pytest.skip
        end(f"the peer is missing: {missing}")
