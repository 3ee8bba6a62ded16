"""Strangers on our sidecar: other SDKs, which play their scenarios in processes of their own."""

from __future__ import annotations

import json
import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar import Sidecar
from tools import peers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class End:
    """How a scenario went: `error` is None when it is fulfilled, `heard` what was warned of."""

    error: str | None
    heard: frozenset[str]


Ends = dict[str, End]


def read(printed: str) -> Ends:
    """Read what a peer's program printed."""
    told = json.loads(printed)
    return {name: End(end["error"], frozenset(end["heard"])) for name, end in told.items()}


def names(sources: Iterable[Path], pattern: str) -> list[str]:
    """The scenarios that are written in these files; known without the peer being there."""
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


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"{record.name} {record.levelname}: {record.getMessage()}")


@contextmanager
def listening_sidecar(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A sidecar on a file, and every warning that it or anything of this process logs."""
    ear = _Ear()
    logging.getLogger().addHandler(ear)
    try:
        with Sidecar(folder / "tasks.db") as address:
            yield address, ear.heard
    finally:
        logging.getLogger().removeHandler(ear)


@contextmanager
def needed() -> Iterator[None]:
    """Skip where the peer cannot be had on this machine, or fail where it has to be."""
    try:
        yield
    except peers.UnavailableError as missing:
        end: Any = pytest.fail if peers.are_required() else pytest.skip
        end(f"the peer is missing: {missing}")
