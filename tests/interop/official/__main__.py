"""Play scenarios with the official SDK, and print as JSON how each went.

    scenarios ADDRESS [NAME...]      on the sidecar at this address
    scenarios official [NAME...]     on the SDK's own in-memory backend, one each

Runs inside the peer's environment. Prints, by scenario, `error` (None when it is fulfilled)
and `warnings` (the warnings that SDK and backend logged); under the name "" those that belong to
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
from harness import PATIENCE, SCENARIOS, Harness, Scenario, WarningLog

from durabletask.testing import InMemoryOrchestrationBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFICIAL = "official"
_AT_ONCE = 16  # they mostly wait


def main(address: str, *names: str) -> None:
    wanted = [SCENARIOS[name] for name in names or SCENARIOS]
    everywhere = WarningLog()
    logging.getLogger().addHandler(everywhere)
    pool = ThreadPoolExecutor(_AT_ONCE)
    playing = {one.name: pool.submit(play, one, address) for one in wanted}
    ends = {name: _end(future) for name, future in playing.items()}
    ends[""] = {"error": None, "warnings": sorted(everywhere.warnings)}
    print(json.dumps(ends), flush=True)
    # A scenario that hangs would keep the program alive, by its own thread or a worker's.
    os._exit(0)


def _end(future: Future[dict[str, Any]]) -> dict[str, Any]:
    try:
        return future.result(timeout=4 * PATIENCE)
    except TimeoutError:
        return {"error": f"not over in {4 * PATIENCE} seconds", "warnings": []}


def play(one: Scenario, address: str) -> dict[str, Any]:
    error, log = None, WarningLog()
    # What it would say of its own faults tells nothing; but what its workers always say does.
    gives_up = address == OFFICIAL and one.official_fails_by
    try:
        with _backend(address) as where, Harness(where, one.name, log) as harness:
            _come_and_go(harness) if gives_up else one.play(harness)
    except Exception:
        error = traceback.format_exc()
    return {"error": error, "warnings": sorted(log.warnings)}


def _come_and_go(harness: Harness) -> None:
    def nothing(_ctx: Any, _input: Any) -> None: ...

    harness.host(nothing)
    harness.run(nothing)


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
