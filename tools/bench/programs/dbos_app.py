"""The workloads for DBOS on a SQLite file, with its workflows and plain steps.

    python -m tools.bench.programs.dbos_app WORKLOAD SIZE --file FILE

Runs inside the peer's environment. Every workload checks its result.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy
from dbos import DBOS, DBOSConfig
from sqlalchemy import event

from tools.bench.programs.measuring import Meter

_WARM_UP = 10
_STEPS = 3
# A short chain is repeated: it is over before a clock tells much.
_LEAST_STEPS = 100
# Measured to be kindest to DBOS: few threads, for they contend for one file, and a look for messages
# ten times a second. Plain workflows were faster than asynchronous ones, but for fans and sleeps.
_THREADS = 8
_POLLING_SECONDS = 0.1
# Started from a thread, each asynchronous workflow keeps one of its threads until it ends.
_WITHOUT_LIMIT = ("timers",)


@event.listens_for(sqlalchemy.Engine, "connect")
def _use_a_log(connection, _record):
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


@DBOS.step()
def add_one(number):
    return number + 1


@DBOS.step()
async def add_one_async(number):
    return number + 1


@DBOS.workflow()
def chain(length):
    number = 0
    for _ in range(length):
        number = add_one(number)
    return number


@DBOS.workflow()
async def fan(width):
    return sum(await asyncio.gather(*(add_one_async(number) for number in range(width))))


@DBOS.workflow()
async def nap(seconds):
    """How late it was woken, in seconds."""
    due = time.time() + seconds
    await DBOS.sleep_async(seconds)
    return time.time() - due


@DBOS.workflow()
def tally(count):
    total = 0
    for _ in range(count):
        total += DBOS.recv("tick", timeout_seconds=600)
    return total


class Load:
    def __init__(self, meter, starters):
        self._meter = meter
        self._starters = starters

    def warm_up(self):
        self._expect(_WARM_UP, chain, _WARM_UP)

    def chain(self, length):
        times = max(1, _LEAST_STEPS // length)
        with self._meter.over(times * length):
            for _ in range(times):
                self._expect(length, chain, length)

    def fan(self, width):
        with self._meter.over(width):
            self._expect(width * (width + 1) // 2, fan, width)

    def throughput(self, count):
        with self._meter.over(count):
            for handle in self._start_all(chain, _STEPS, count):
                self._ended(handle, _STEPS)

    def latency(self, count):
        with self._meter.over(count):
            for _ in range(count):
                began = time.perf_counter()
                self._expect(1, chain, 1)
                self._meter.samples.append(time.perf_counter() - began)

    def timers(self, count):
        with self._meter.over(count):
            for handle in self._start_all(nap, 1, count):
                self._meter.samples.append(handle.get_result())

    def events(self, count):
        handle = DBOS.start_workflow(tally, count)
        with self._meter.over(count):
            for _ in range(count):
                DBOS.send(handle.workflow_id, 1, "tick")
            self._ended(handle, count)

    def _start_all(self, workflow, argument, count):
        with ThreadPoolExecutor(self._starters) as pool:
            return list(pool.map(lambda _: DBOS.start_workflow(workflow, argument), range(count)))

    def _expect(self, result, workflow, argument):
        self._ended(DBOS.start_workflow(workflow, argument), result)

    def _ended(self, handle, result):
        output = handle.get_result()
        if output != result:
            raise AssertionError(f"the result is {output}, but {result} is right")


def check_settings(instance):
    """Raise unless the connection that DBOS uses writes a log, and syncs at checkpoints only."""
    with instance._sys_db.engine.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    if (mode, synchronous) != ("wal", 1):
        raise AssertionError(f"DBOS runs with journal_mode {mode}, synchronous {synchronous}")


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workload")
    parser.add_argument("size", type=int)
    parser.add_argument("--file", required=True)
    parser.add_argument("--starters", type=int, default=8)
    arguments = parser.parse_args()
    # Without a key for its conductor it talks to nobody.
    config = DBOSConfig(
        name="bench",
        system_database_url=f"sqlite:///{arguments.file}",
        log_level="ERROR",
        enable_otlp=False,
        max_executor_threads=None if arguments.workload in _WITHOUT_LIMIT else _THREADS,
        notification_listener_polling_interval_sec=_POLLING_SECONDS,
    )
    instance = DBOS(config=config)
    DBOS.launch()
    check_settings(instance)
    meter = Meter()
    load = Load(meter, arguments.starters)
    load.warm_up()
    getattr(load, arguments.workload)(arguments.size)
    meter.report()
    DBOS.destroy()


if __name__ == "__main__":
    main()
