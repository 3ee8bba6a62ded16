"""The sides of the comparison: which program each runs, in which environment, on which engine.

Each measurement is a new process, which is killed after a while: what hangs or fails costs one
figure. The programs are in `tools/bench/programs`, and print what they measured as JSON.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench._results import Measurement
from tools.bench._workloads import DBOS, IN_PROCESS, OFFICIAL, OFFICIAL_ON_OURS, SLOW_FLUSH, Job
from tools.peers import homes, pythons
from tools.peers.sidecar_process import SidecarProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tools.bench._workloads import Workload

    Engine = Callable[[Path, dict[str, str]], AbstractContextManager[list[str]]]

_PROGRAMS = "tools.bench.programs"
_IMPORTING = "importing"
_OURS = {Job.LOAD: "task_hub", Job.REPLAY: "our_replay", Job.IMPORT: _IMPORTING}
_OFFICIAL = {Job.LOAD: "task_hub", Job.REPLAY: "official_replay", Job.IMPORT: _IMPORTING}
_DBOS = {Job.LOAD: "dbos_app"}
_FLUSH_SECONDS = "0.005"
_IN_PROCESS_SWITCH = "DURABLETASK_IN_PROCESS"
_BATCHES_SWITCH = "DURABLETASK_BATCH_STREAM"
_SWITCHES = (_IN_PROCESS_SWITCH, _BATCHES_SWITCH)


@dataclass(frozen=True, slots=True)
class Side:
    """One contestant.

    `engine` starts what the program needs beside itself, in a folder of its own and with an
    environment, and gives the program's options. `switches` are variables of that environment.
    """

    name: str
    what: str
    requirement: str | None
    """What is installed in its environment; None for ours."""
    engine: Engine
    programs: dict[Job, str]
    """The modules in `tools/bench/programs`."""
    switches: dict[str, str] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    """Families of workloads that it does not have."""
    is_special: bool = False
    """Whether it runs only the workloads that name it."""

    def has(self, workload: Workload) -> bool:
        family = workload.family
        if family.sides:
            return self.name in family.sides
        return not self.is_special and family.name not in self.lacks

    def measure(self, workload: Workload, timeout: float) -> Measurement:
        """Run the workload once; raises RuntimeError if it failed or took too long."""
        try:
            printed = self._run(workload, timeout)
            return Measurement.parsed(printed.strip().rpartition("\n")[2])
        except (AssertionError, OSError, ValueError) as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    def _run(self, workload: Workload, timeout: float) -> str:
        environment = pythons.environment()
        for name in _SWITCHES:
            # What the caller has switched off would be missing in the sides that are about it.
            environment.pop(name, None)
        environment |= self.switches
        is_load = workload.family.job is Job.LOAD
        engine = self.engine if is_load else _none
        with (
            tempfile.TemporaryDirectory() as folder,
            engine(Path(folder), environment) as options,
        ):
            return homes.output(
                [*self._command(workload), *options, *workload.family.options],
                folder=homes.ROOT,
                environment=environment,
                timeout=timeout,
            )

    def _command(self, workload: Workload) -> list[str]:
        python = pythons.python(self.requirement) if self.requirement else Path(sys.executable)
        module = f"{_PROGRAMS}.{self.programs[workload.family.job]}"
        return [str(python), "-m", module, workload.family.verb, str(workload.size)]


def _embedded(*options: str) -> Engine:
    """Our sidecar, in the process of the program."""

    @contextmanager
    def engine(folder: Path, _environment: dict[str, str]) -> Iterator[list[str]]:
        yield ["--sidecar", str(folder / "bench.db"), *options]

    return engine


@contextmanager
def _sidecar(folder: Path, environment: dict[str, str]) -> Iterator[list[str]]:
    """Our sidecar, in a process of its own."""
    process = SidecarProcess(folder / "bench.db", environment=environment)
    process.start()
    try:
        yield ["--address", process.address, "--engine", str(process.pid)]
    finally:
        # Nothing is kept, so that one which hangs need not be waited for.
        process.kill()


@contextmanager
def _official_backend(_folder: Path, environment: dict[str, str]) -> Iterator[list[str]]:
    """The official in-memory backend, in a process of its own."""
    command = [
        str(pythons.python(pythons.OFFICIAL)),
        *("-m", f"{_PROGRAMS}.official_backend"),
    ]
    with subprocess.Popen(
        command,
        cwd=homes.ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            yield ["--address", address, "--engine", str(process.pid)]
        finally:
            process.kill()


@contextmanager
def _none(_folder: Path, _environment: dict[str, str]) -> Iterator[list[str]]:
    yield []


@contextmanager
def _dbos_file(folder: Path, _environment: dict[str, str]) -> Iterator[list[str]]:
    yield ["--file", str(folder / "bench.db")]


SIDES = {
    side.name: side
    for side in (
        Side(
            IN_PROCESS,
            "ours: sidecar, worker and client in one process, `synchronous=full`",
            None,
            _embedded(),
            _OURS,
        ),
        Side(
            "in-process-normal",
            "the same with `synchronous=normal`",
            None,
            _embedded("--synchronous", "normal"),
            _OURS,
        ),
        Side(
            "embedded-grpc",
            "ours in one process, but over gRPC",
            None,
            _embedded(),
            _OURS,
            switches={_IN_PROCESS_SWITCH: "0"},
        ),
        Side(
            "two-processes",
            "ours: the sidecar in a process of its own, `synchronous=full`, the batch stream",
            None,
            _sidecar,
            _OURS,
        ),
        Side(
            "two-processes-standard",
            "the same with the calls of the standard protocol only",
            None,
            _sidecar,
            _OURS,
            switches={_BATCHES_SWITCH: "0"},
        ),
        Side(
            OFFICIAL,
            "the official SDK on its in-memory backend in a process of its own; not durable",
            pythons.OFFICIAL,
            _official_backend,
            _OFFICIAL,
        ),
        Side(
            DBOS,
            "DBOS on SQLite in WAL with `synchronous=NORMAL`",
            pythons.DBOS,
            _dbos_file,
            _DBOS,
            lacks=frozenset({"entity"}),
        ),
        Side(
            OFFICIAL_ON_OURS,
            "the official worker and client on our sidecar, `synchronous=full`",
            pythons.OFFICIAL,
            _sidecar,
            _OFFICIAL,
            is_special=True,
        ),
        Side(
            SLOW_FLUSH,
            "ours in process, with 5 ms slept inside every COMMIT",
            None,
            _embedded("--flush-seconds", _FLUSH_SECONDS),
            _OURS,
            is_special=True,
        ),
    )
}
