"""`docs/performance.md`: what was promised, what was measured, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.bench import _machine
from tools.bench._goals import GOALS
from tools.bench._report import checklist, workload_table
from tools.bench._sides import SIDES
from tools.peers import homes, pythons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.bench._machine import Disk
    from tools.bench._results import Results
    from tools.bench._workloads import Workload

FILE = homes.ROOT / "docs" / "performance.md"

_BEGINNING = """\
# Performance

Written by `hatch run bench peers`, which runs the same workloads with our SDK and sidecar, with
the official SDK (PyPI durabletask {official}) and with DBOS ({dbos}), in turn, in one run. A speed
claim is a ratio of medians of that run: figures of two runs or of two machines cannot be compared.

Ours and DBOS commit to a file on the disk. Ours does so before anything is acknowledged, and unless
another setting is named, with `synchronous=full`: what was acknowledged survives a power cut. DBOS
runs with `synchronous=NORMAL`, with which it survives the end of the process. The official backend
keeps everything in memory and is not durable.

## The sides

{sides}

## What is promised

*Must* is the line to reach, *aim* is where it is to go; ratios are ours by theirs.

{goals}

## How it was measured

{method}

On this machine: {machine}. The disk needs {disk} (medians).

## The figures

Medians of the rounds. *x official* and *x DBOS* are the first figure by theirs: for rates more is
better, for times and sizes less. CPU time and memory (the most that was held) are those of all
processes of a side together.

{tables}
"""

_METHOD = """\
* Every measurement is a new process on a new file. It warms up with a chain of ten activities,
  runs one workload once, and checks the result. In each round every side runs the workload once,
  one after the other, nothing else meanwhile.
* Ours and the official SDK run the very same program, `programs/task_hub.py`, in an environment of
  their own each, with default options; log messages below warnings are off. Activities and
  orchestrators are plain functions.
* In the workloads that start many orchestrations eight threads start them, with one client, on all
  sides. Events and signals are sent one after the other by one synchronous client.
* The official backend has a process of its own: in the worker's it was slower in most workloads,
  for two processes have two cores. Its limit for the length of histories is raised.
* DBOS runs in one process, as it is made to (`programs/dbos_app.py`). Its engine has a connect
  listener that sets WAL and `synchronous=NORMAL`; the program reads both back and fails if they did
  not take. Chains are plain workflows with plain steps, fans asynchronous ones with
  `asyncio.gather`, whichever was faster. Eight threads, and a look for messages ten times a second,
  were faster than its defaults. It is connected to nothing. It has no entities; and a workflow that
  waits keeps the thread that started it, so ten thousand of them are left out.
* The lateness of timers is the time from when a sleep ends to when the code after it runs; it
  contains whatever the system has to do at that moment.
* The official worker on our sidecar is compared in ten rounds, because the two are close.
* 100,000 waiting orchestrations are measured by `hatch run bench idle`.
"""


def page(results: Results, workloads: Sequence[Workload], disk: Disk) -> str:
    return _BEGINNING.format(
        official=pythons.OFFICIAL_VERSION,
        dbos=pythons.DBOS_VERSION,
        sides=_sides(),
        goals=_goals(results),
        method=_METHOD.rstrip(),
        machine=_machine.describe(),
        disk=disk,
        tables=_tables(results, workloads),
    )


def _sides() -> str:
    return "\n".join(f"* `{side.name}`: {side.what}" for side in SIDES.values())


def _goals(results: Results) -> str:
    parts = [f"{title}:\n\n{checklist(results, goals)}" for title, goals in GOALS.items()]
    return "\n\n".join(parts)


def _tables(results: Results, workloads: Sequence[Workload]) -> str:
    parts = [
        f"### {workload.name}\n\n{_rounds(results, workload)}: {workload.family.what}.\n\n"
        f"{workload_table(results, workload)}"
        for workload in workloads
    ]
    return "\n\n".join(parts)


def _rounds(results: Results, workload: Workload) -> str:
    most = max((len(results.of(workload, side)) for side in SIDES), default=0)
    return f"{most} round{'' if most == 1 else 's'}"
