"""A sidecar does what the model says, whatever happens, over memory and over a file.

`hatch run prove model` leads many more of these lives, and another seed's every time.
"""

from __future__ import annotations

import pytest

from tests.properties.lifecycle_machine import LifecycleMachine, LifecycleMachineOnFile
from tests.prove.model import lead

SEED = 6


@pytest.mark.parametrize(
    "machine", [LifecycleMachine, pytest.param(LifecycleMachineOnFile, marks=pytest.mark.slow)]
)
def test_a_sidecar_differs_from_the_model_in_nothing(machine: type[LifecycleMachine]) -> None:
    lead(machine, SEED, examples=30)
