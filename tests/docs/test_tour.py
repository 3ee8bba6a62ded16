"""The tour of the code names files and names that exist, and leads to what one would look for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TOUR = Path(__file__).resolve().parents[2] / "docs" / "internals" / "tour.md"

# A link to a file, and the names that stand behind it, each after a middle dot.
_STATION = re.compile(r"\[`[^`]+`\]\((?P<file>[^)]+\.py)\)(?P<names>(?: · `[\w.]+`)*)")

STATIONS = [
    pytest.param(found["file"], name, id=f"{Path(found['file']).stem}-{name}")
    for found in _STATION.finditer(TOUR.read_text(encoding="utf-8"))
    for name in re.findall(r"`([\w.]+)`", found["names"]) or [""]
]


def defined_in(file: Path) -> set[str]:
    """Classes, functions and methods of a module, methods as `Class.method`."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (ast.FunctionDef, ast.AsyncFunctionDef)
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, methods)}
    return names


@pytest.mark.parametrize(("file", "name"), STATIONS)
def test_each_stop_of_the_tour_exists(file: str, name: str) -> None:
    path = TOUR.parent / file

    assert path.is_file()
    if name:
        assert name in defined_in(path)


def test_the_tour_has_stops() -> None:
    assert len(STATIONS) > 30


_CORE = "packages/durabletask-core/src/durabletask"
_SIDECAR = "packages/durabletask-sidecar/src/durabletask/sidecar"
_WORKER = "packages/durabletask-worker/src/durabletask/worker"


@pytest.mark.parametrize(
    ("question", "file", "found_there"),
    [
        pytest.param(
            "A second terminate changes nothing",
            f"{_SIDECAR}/engine/instances.py",
            "def terminate(",
            id="terminate",
        ),
        pytest.param(
            "NonDeterminismError",
            f"{_CORE}/failures/errors.py",
            "but during replay the code",
            id="non-determinism",
        ),
        pytest.param(
            "the size of a message",
            f"{_SIDECAR}/engine/limits.py",
            "message_bytes: int | None =",
            id="message-size",
        ),
        pytest.param(
            "the event is stored by",
            f"{_SIDECAR}/store/statements.py",
            "INSERT INTO history",
            id="event-sql",
        ),
        pytest.param(
            "Timers wait here",
            f"{_SIDECAR}/engine/inbox.py",
            "visible_at",
            id="timers",
        ),
        pytest.param(
            "repeats a failed delivery",
            f"{_WORKER}/_delivery.py",
            "async def deliver(",
            id="delivery",
        ),
    ],
)
def test_the_tour_leads_to_what_one_would_look_for(
    question: str, file: str, found_there: str
) -> None:
    """The line of the tour that answers the question links to the file that holds it."""
    lines = [line for line in TOUR.read_text(encoding="utf-8").splitlines() if question in line]

    assert any(f"({'../' * 2}{file})" in line for line in lines), question
    assert found_there in (TOUR.parents[2] / file).read_text(encoding="utf-8")
