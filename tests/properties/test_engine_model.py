"""A sidecar does what the model says, whatever happens, over memory and over a file."""

from __future__ import annotations

from hypothesis import settings

from builders.lives import Lives

TestLivesInMemory = Lives.TestCase
TestLivesInMemory.settings = settings(max_examples=60, stateful_step_count=40, derandomize=True)
