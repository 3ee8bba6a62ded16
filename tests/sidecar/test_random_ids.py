"""Ids are drawn many at a time, and are different all the same."""

from __future__ import annotations

import os
import sys

import pytest

from durabletask.sidecar.random_ids import new_id


def test_no_id_is_given_twice() -> None:
    ids = [new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert all(len(id) == 32 and int(id, 16) for id in ids)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_draws_other_ids_than_its_parent() -> None:
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_id().encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        others = pipe.read()

    assert others not in {new_id() for _ in range(256)}
