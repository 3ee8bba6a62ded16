"""A gRPC server that ends by itself, and the one that takes its place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.sidecar.network.restarting_server import RestartingServer
from tests.builders.sidecar import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable


class Fake:
    """A server that ends when it is told to, as gRPC's does of an error of its own."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped: list[float | None] = []
        self.is_stopped = asyncio.Event()
        self._error: Exception | None = None
        self._ended = asyncio.Event()

    async def start(self) -> None:
        self.started.set()

    async def stop(self, grace: float | None) -> None:
        self.stopped.append(grace)
        self.is_stopped.set()
        self._ended.set()

    async def wait_for_termination(self, _seconds: float | None = None) -> bool:
        await self._ended.wait()
        if self._error is not None:
            raise self._error
        return True

    def end(self, error: Exception) -> None:
        self._error = error
        self._ended.set()


def made_of(*given: Fake | Exception) -> Callable[[], Any]:
    """Makes these, one after the other."""
    left = list(given)

    def make() -> Any:
        first = left.pop(0)
        if isinstance(first, Exception):
            raise first
        return first

    return make


async def test_another_takes_the_place_of_one_that_ended() -> None:
    first, second = Fake(), Fake()
    lasting = RestartingServer(made_of(first, second))
    await lasting.start()

    first.end(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))

    async with asyncio.timeout(PATIENCE):
        await second.started.wait()
    await lasting.stop(7)
    assert second.stopped == [7]


@pytest.mark.parametrize("error", [OSError("taken"), RuntimeError("unheard of")], ids=repr)
async def test_what_cannot_be_replaced_at_once_is_tried_again(error: Exception) -> None:
    first, second = Fake(), Fake()
    lasting = RestartingServer(made_of(first, error, second), retry_seconds=0)
    await lasting.start()

    first.end(RuntimeError("ended"))

    async with asyncio.timeout(PATIENCE):
        await second.started.wait()
    await lasting.stop(0)


async def test_it_stops_while_it_looks_for_a_place() -> None:
    first = Fake()
    lasting = RestartingServer(made_of(first, OSError("taken")))
    await lasting.start()
    first.end(RuntimeError("ended"))
    async with asyncio.timeout(PATIENCE):
        await first.is_stopped.wait()

        await lasting.stop(0)
