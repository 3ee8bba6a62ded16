"""A sidecar does what the model says, whatever happens, in memory and on a file.

`hatch run prove model` runs many more examples, with another seed every time.
"""

from __future__ import annotations

import pytest

from tests.properties.lifecycle_machine import (
    LifecycleMachine,
    LifecycleMachineAhead,
    LifecycleMachineOnFile,
    LifecycleMachineOnSlowDisk,
    LifecycleMachineWithSlowDisk,
)
from tests.prove.model import run_examples

SEED = 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "machine",
    [
        LifecycleMachine,
        LifecycleMachineOnFile,
        LifecycleMachineWithSlowDisk,
        LifecycleMachineOnSlowDisk,
        LifecycleMachineAhead,
    ],
)
def test_a_sidecar_differs_from_the_model_in_nothing(machine: type[LifecycleMachine]) -> None:
    run_examples(machine, SEED, examples=30)
