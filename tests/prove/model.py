"""Model checking: runs of a sidecar, each command and crash compared with a small model.

python -m tests.prove.model SOURCES SEED EXAMPLES   checks the sidecar in other sources;
                                                    exit code 3 when it differs from the model
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .suites import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.properties.lifecycle_machine import LifecycleMachine

    from .suites import Options

NAME = "model"

# More steps find little that these do not find.
STEPS = 40

# Not 1, with which Python ends a program that cannot even start.
ALIKE, NOT_TRIED, DIFFERENT = 0, 2, 3


def prove(options: Options) -> Iterator[Row]:
    from tests.properties.lifecycle_machine import (
        LifecycleMachine,
        LifecycleMachineAhead,
        LifecycleMachineOnFile,
        LifecycleMachineOnSlowDisk,
    )

    machines = (
        ("in memory", LifecycleMachine),
        ("in a file", LifecycleMachineOnFile),
        ("on a slow disk", LifecycleMachineOnSlowDisk),
        ("with turns ahead of results", LifecycleMachineAhead),
    )
    for where, machine in machines:
        examples = options.examples // len(machines)
        before = LifecycleMachine.compared
        differs = _differs(machine, options.seed, examples)
        compared = LifecycleMachine.compared - before
        figure = f"{examples} ({compared} comparisons)"
        holds = compared > 0 and not differs
        yield Row(f"runs {where}, all of which agree with the model", figure, holds)


def _differs(machine: type[LifecycleMachine], first: int, examples: int) -> bool:
    """Whether one of the runs differs from the model; its steps are printed."""
    try:
        run_examples(machine, first, examples)
    except Exception:
        traceback.print_exc()
        return True
    return False


def run_examples(
    machine: type[LifecycleMachine], first: int, examples: int, *, shrinks: bool = True
) -> None:
    """Run so many examples; raises what the first that differs raises, shrunk if wished."""
    phases = [Phase.generate, Phase.shrink] if shrinks else [Phase.generate]
    run_state_machine_as_test(
        seed(first)(type("SeededMachine", (machine,), {})),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def main(sources: str, first: str, examples: str) -> int:
    sys.path.insert(0, sources)
    from durabletask import sidecar
    from tests.properties.lifecycle_machine import LifecycleMachine

    if not Path(sidecar.__path__[0]).is_relative_to(Path(sources)):
        print(f"this would check {sidecar.__path__[0]}, not the sidecar in {sources}")
        return NOT_TRIED
    try:
        run_examples(LifecycleMachine, int(first), int(examples), shrinks=False)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        return DIFFERENT
    return ALIKE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
