"""A sidecar does what the model says, whatever happens, over memory and over a file.

`hatch run prove model` leads many more of these lives, and another seed's every time.
"""

from __future__ import annotations

import pytest

from tests.builders.lives import Lives, LivesInAFile
from tests.prove.model import lead

SEED = 6


@pytest.mark.parametrize("lives", [Lives, pytest.param(LivesInAFile, marks=pytest.mark.slow)])
def test_a_sidecar_differs_from_the_model_in_nothing(lives: type[Lives]) -> None:
    lead(lives, SEED, examples=30)
