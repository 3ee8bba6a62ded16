"""Do the READMEs and docs tell the truth? Every Python block in them runs, on a sidecar of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from durabletask.sidecar import Sidecar
from durabletask.task import OrchestrationContext
from durabletask.worker import TaskHubGrpcWorker

# Each example is a program of its own, with a sidecar.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("packages/*/README.md"), *ROOT.glob("docs/*.md")])


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    code: str


@pytest.fixture(autouse=True)
def _as_users_run_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the sidecars and clients of one program do by themselves: call each other directly."""
    monkeypatch.delenv("DURABLETASK_IN_PROCESS", raising=False)


def blocks() -> Iterator[Block]:
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            yield Block(name, code)


@pytest.fixture
def address() -> Iterator[str]:
    """A sidecar, and a worker that hosts the orchestrator the client's README names."""

    def greet_cities(_ctx: OrchestrationContext, cities: list[str]) -> list[str]:
        return [f"Hello {city}!" for city in cities]

    with Sidecar() as running, TaskHubGrpcWorker(host_address=running) as worker:
        worker.add_orchestrator(greet_cities)
        worker.start()
        yield running


@pytest.mark.parametrize("block", list(blocks()), ids=lambda block: block.page)
def test_every_python_block_runs(block: Block, address: str, tmp_path: Path) -> None:
    # The second is where the emulator of the hosted scheduler listens.
    program = block.code.replace("localhost:4001", address).replace("localhost:8080", address)

    done = subprocess.run(
        [sys.executable, "-c", program],
        input="\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


def test_the_first_program_prints_its_greetings(tmp_path: Path) -> None:
    program = next(block.code for block in blocks() if block.page == "README.md")

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=60,
    )

    assert done.stdout == "['Hello Tokyo!', 'Hello London!']\n"
    lines = [line for line in program.splitlines() if line]
    assert len(lines) == 10
