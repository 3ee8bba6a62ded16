"""What a completion token stands for, and what is no token of ours."""

from __future__ import annotations

import json

import pytest

from durabletask.sidecar.commit.notifications import Kind, Work
from durabletask.sidecar.work import completion_tokens


@pytest.mark.parametrize("length", [1, 1000])
def test_the_token_of_an_activity_names_its_task(length: int) -> None:
    hub, instance_id, key = "h" * length, "\u4e2d" * length, "e" * length + ":123456789"

    token = completion_tokens.make(
        Work(Kind.ACTIVITY, hub, instance_id, "greet", task_key=key), "nonce"
    )

    assert completion_tokens.task_of(token) == completion_tokens.Task(hub, instance_id, key)


def test_the_token_of_a_turn_names_no_task() -> None:
    token = completion_tokens.make(Work(Kind.TURN, "default", "a", "order"), "nonce")

    assert completion_tokens.task_of(token) is None


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("part", ["\ud800", "a\udfff", "9" * 5000, None, 1, []])
def test_a_part_that_no_store_can_know_makes_it_no_token(place: int, part: object) -> None:
    parts: list[object] = ["nonce", "default", "a", "e:1"]
    parts[place] = part

    assert completion_tokens.task_of(json.dumps(parts)) is None
