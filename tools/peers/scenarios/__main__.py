"""Play scenarios with the official SDK, and print as JSON how each went.

    scenarios ADDRESS [NAME...]      on the sidecar at this address
    scenarios official [NAME...]     on the SDK's own in-memory backend, one each

Runs inside the peer's environment. Prints, by scenario, `error` (None when it is fulfilled)
and `heard` (the warnings that SDK and backend logged); under the name "" those that belong to
no scenario.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import control  # noqa: F401 - tells its scenarios
import entities  # noqa: F401
import extensions  # noqa: F401
import orchestrations  # noqa: F401
import records  # noqa: F401
import workers  # noqa: F401
from stage import PATIENCE, SCENARIOS, Ear, Scenario, Stage

from durabletask.testing import InMemoryOrchestrationBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFICIAL = "official"
_AT_ONCE = 16  # they mostly wait


def main(address: str, *names: str) -> None:
    wanted = [SCENARIOS[name] for name in names or SCENARIOS]
    everywhere = Ear()
    logging.getLogger().addHandler(everywhere)
    pool = ThreadPoolExecutor(_AT_ONCE)
    playing = {one.name: pool.submit(play, one, address) for one in wanted}
    ends = {name: _end(future) for name, future in playing.items()}
    ends[""] = {"error": None, "heard": sorted(everywhere.heard)}
    print(json.dumps(ends), flush=True)
    # A scenario that hangs would keep the program alive, by its own thread or a worker's.
    os._exit(0)


def _end(future: Future[dict[str, Any]]) -> dict[str, Any]:
    try:
        return future.result(timeout=4 * PATIENCE)
    except TimeoutError:
        return {"error": f"not over in {4 * PATIENCE} seconds", "heard": []}


def play(one: Scenario, address: str) -> dict[str, Any]:
    error, ear = None, Ear()
    # What it would say of its own faults tells nothing; but what its workers always say does.
    gives_up = address == OFFICIAL and one.official_fails_by
    try:
        with _backend(address) as where, Stage(where, one.name, ear) as stage:
            _come_and_go(stage) if gives_up else one.play(stage)
    except Exception:  # noqa: BLE001 - whatever it is, it is the scenario's end
        error = traceback.format_exc()
    return {"error": error, "heard": sorted(ear.heard)}


def _come_and_go(stage: Stage) -> None:
    def nothing(_ctx: Any, _input: Any) -> None: ...

    stage.host(nothing)
    stage.run(nothing)


@contextmanager
def _backend(address: str) -> Iterator[str]:
    if address != OFFICIAL:
        yield address
        return
    backend = InMemoryOrchestrationBackend(port=_free_port())
    where = backend.start()
    try:
        yield where
    finally:
        backend.stop()


def _free_port() -> int:
    # The official backend cannot pick one itself.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


if __name__ == "__main__":
    main(*sys.argv[1:])
