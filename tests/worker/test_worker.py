from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from durabletask.grpc_options import GrpcWorkerResiliencyOptions
from durabletask.protocol import events, messages, methods
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.worker import (
    DATETIME_STRING_FORMAT,
    ConcurrencyOptions,
    TaskHubGrpcWorker,
    VersioningOptions,
    VersionMatchStrategy,
)
from tests.builders.worker import (
    ScriptedSidecar,
    ScriptedSidecars,
    activity_item,
    orchestrator_item,
    refusal,
    settle,
)


def greet(ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def hello(ctx: OrchestrationContext) -> str:
    return "hello"


class Unreachable(ScriptedSidecar):
    async def unary(self, *_: Any, **__: Any) -> Any:
        raise refusal("UNAVAILABLE", "connection refused")


def begin(orchestrator: str) -> messages.HistoryEvent:
    return events.execution_started(orchestrator, instance_id="one", execution_id="first")


# Construction.


def test_the_constructor_takes_what_the_official_one_takes() -> None:
    official = {
        "host_address": None,
        "metadata": None,
        "log_handler": None,
        "log_formatter": None,
        "logger": None,
        "channel": None,
        "secure_channel": False,
        "interceptors": None,
        "channel_options": None,
        "resiliency_options": None,
        "concurrency_options": None,
        "maximum_timer_interval": timedelta(days=3),
        "payload_store": None,
        "data_converter": None,
        "exception_properties_provider": None,
        "emit_trace_spans": True,
    }

    ours = inspect.signature(TaskHubGrpcWorker).parameters

    assert {name: ours[name].default for name in official} == official
    assert all(each.kind is each.KEYWORD_ONLY for each in ours.values())


def test_the_options_can_be_read() -> None:
    options = ConcurrencyOptions(maximum_thread_pool_workers=3)

    worker = TaskHubGrpcWorker(
        concurrency_options=options,
        maximum_timer_interval=timedelta(hours=1),
        emit_trace_spans=False,
    )

    assert worker.concurrency_options is options
    assert worker.maximum_timer_interval == timedelta(hours=1)
    assert worker.emit_trace_spans is False


def test_a_negative_number_of_cached_orchestrations_is_refused() -> None:
    with pytest.raises(ValueError, match="max_cached_orchestrations"):
        TaskHubGrpcWorker(max_cached_orchestrations=-1)


def test_a_payload_store_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="payload_store"):
        TaskHubGrpcWorker(payload_store=object())


def test_times_are_written_as_the_official_worker_writes_them() -> None:
    noon = datetime(2026, 1, 2, 12, 0, 0, 5)

    assert noon.strftime(DATETIME_STRING_FORMAT) == "2026-01-02T12:00:00.000005Z"


# Logging.


def test_a_given_logger_excludes_the_deprecated_arguments() -> None:
    with pytest.raises(ValueError, match="log_handler"):
        TaskHubGrpcWorker(logger=logging.getLogger("mine"), log_handler=logging.NullHandler())


def test_the_deprecated_arguments_say_so_and_work() -> None:
    handled: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: handled.append(handler.format(record))  # type: ignore[method-assign]
    with pytest.warns(DeprecationWarning, match="logger"):
        worker = TaskHubGrpcWorker(
            log_handler=handler,
            log_formatter=logging.Formatter("* %(message)s"),
            connect=ScriptedSidecars(),
        )

    worker.start()
    worker.wait_until_ready(20)
    worker.stop()

    assert any(text.startswith("* Worker connected") for text in handled)


@pytest.mark.parametrize(
    ("metadata", "hub"), [(None, "default"), ([("taskhub", "orders")], "orders")]
)
def test_log_records_carry_the_task_hub_beside_their_own_fields(
    metadata: list[tuple[str, str]] | None, hub: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    worker = TaskHubGrpcWorker(
        host_address="there:1", metadata=metadata, connect=ScriptedSidecars()
    )

    worker.start()
    worker.wait_until_ready(20)
    worker.stop()

    fields = vars(caplog.records[0])
    assert (fields["hub"], fields["address"]) == (hub, "there:1")


# Lifecycle.


@pytest.fixture
def sidecars() -> ScriptedSidecars:
    return ScriptedSidecars(activity_item("greet", '"Tokyo"'))


def test_a_started_worker_works_on_its_own_thread_until_stopped(sidecars: ScriptedSidecars) -> None:
    worker = TaskHubGrpcWorker(connect=sidecars)
    worker.add_activity(greet)

    worker.start()
    worker.wait_until_ready(20)

    assert sidecars.answer().result == '"Hello Tokyo!"'
    worker.stop()
    assert sidecars.made[0].streams[0].is_closed


def test_a_stopped_worker_can_be_started_again(sidecars: ScriptedSidecars) -> None:
    worker = TaskHubGrpcWorker(connect=sidecars)
    worker.add_activity(greet)

    for _ in range(3):
        worker.start()
        assert sidecars.answer().result == '"Hello Tokyo!"'
        worker.stop()

    assert len(sidecars.made) == 3


def test_a_worker_whose_user_code_will_not_end_can_be_started_again() -> None:
    sidecars = ScriptedSidecars(orchestrator_item([events.orchestrator_started(), begin("cling")]))
    worker = TaskHubGrpcWorker(connect=sidecars)
    may_end = threading.Event()

    @worker.orchestrator
    async def cling(ctx: OrchestrationContext) -> None:
        try:
            await ctx.call_activity("never")
        finally:
            may_end.wait(20)

    for _ in range(2):
        worker.start()
        assert sidecars.answer().actions[0].schedule_task.name == "never"
        worker.stop(grace=0)

    assert len(sidecars.made) == 2
    may_end.set()


def test_a_stopped_worker_leaves_no_thread_behind(sidecars: ScriptedSidecars) -> None:
    before = set(threading.enumerate())
    worker = TaskHubGrpcWorker(connect=sidecars)
    worker.add_activity(greet)
    worker.start()
    sidecars.answer()
    worker.stop()

    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(20)

    assert not any(thread.is_alive() for thread in left)


def test_leaving_the_block_stops_and_entering_does_not_start(sidecars: ScriptedSidecars) -> None:
    with TaskHubGrpcWorker(connect=sidecars) as worker:
        assert sidecars.made == []
        worker.start()
        worker.wait_until_ready(20)

    assert sidecars.made[0].streams[0].is_closed


def test_stopping_a_worker_that_is_not_running_does_nothing() -> None:
    worker = TaskHubGrpcWorker()

    worker.stop()
    worker.stop()


def test_waiting_for_a_sidecar_that_is_not_there_ends_with_the_reason() -> None:
    with TaskHubGrpcWorker(host_address="nowhere:1", connect=Unreachable) as worker:
        worker.start()

        with pytest.raises(TimeoutError, match=r"nowhere:1 after 0\.05 s.*connection refused"):
            worker.wait_until_ready(0.05)


def test_waiting_for_a_worker_that_is_not_running_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="start"):
        TaskHubGrpcWorker().wait_until_ready(20)


def test_a_wait_ends_when_the_worker_is_stopped() -> None:
    worker = TaskHubGrpcWorker(connect=Unreachable)
    worker.start()
    stopping = threading.Thread(target=worker.stop)

    stopping.start()
    with pytest.raises(RuntimeError, match=r"stopped|not running"):
        worker.wait_until_ready(20)

    stopping.join(20)


def test_the_worker_reconnects_to_a_sidecar_that_comes_back() -> None:
    class AwayAtFirst(ScriptedSidecars):
        def __call__(self) -> ScriptedSidecar:
            sidecar = super().__call__()
            sidecar.refuse(methods.HELLO, refusal("UNAVAILABLE"))
            return sidecar

    resilience = GrpcWorkerResiliencyOptions(
        reconnect_backoff_base_seconds=0.001, reconnect_backoff_cap_seconds=0.001
    )
    with TaskHubGrpcWorker(connect=AwayAtFirst(), resiliency_options=resilience) as worker:
        worker.start()

        worker.wait_until_ready(20)


def test_an_activity_may_stop_its_worker() -> None:
    sidecars = ScriptedSidecars(activity_item("leave"))
    worker = TaskHubGrpcWorker(connect=sidecars)

    @worker.activity
    def leave(ctx: ActivityContext) -> str:
        worker.stop()
        return "left"

    worker.start()

    assert sidecars.answer().result == '"left"'
    worker.stop()


async def test_a_task_beside_run_can_wait_for_the_connection() -> None:
    sidecars = ScriptedSidecars()
    worker = TaskHubGrpcWorker(connect=sidecars)
    running = asyncio.create_task(worker.run())

    await worker.until_ready(20)

    assert len(sidecars.made[0].streams) == 1
    worker.stop()
    await running


async def test_a_loop_can_wait_for_a_worker_on_a_thread_of_its_own() -> None:
    sidecars = ScriptedSidecars()
    with TaskHubGrpcWorker(connect=sidecars) as worker:
        worker.start()

        await worker.until_ready(20)
        await worker.until_ready(20)

        assert len(sidecars.made[0].streams) == 1


async def test_waiting_in_a_loop_ends_with_the_reason_too() -> None:
    with TaskHubGrpcWorker(host_address="nowhere:1", connect=Unreachable) as worker:
        worker.start()

        with pytest.raises(TimeoutError, match=r"nowhere:1 after 0\.05 s.*connection refused"):
            await worker.until_ready(0.05)


async def test_waiting_in_a_loop_for_a_worker_that_is_not_running_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"start\(\) or run\(\)"):
        await TaskHubGrpcWorker().until_ready(20)


async def test_a_wait_in_a_loop_ends_when_the_worker_is_stopped() -> None:
    worker = TaskHubGrpcWorker(connect=Unreachable)
    worker.start()
    waiting = asyncio.create_task(worker.until_ready(20))
    await settle()

    await asyncio.to_thread(worker.stop)

    with pytest.raises(RuntimeError, match="stopped"):
        await waiting


async def test_run_works_in_the_loop_of_its_caller_until_stopped(
    sidecars: ScriptedSidecars,
) -> None:
    worker = TaskHubGrpcWorker(connect=sidecars)
    loops = []

    @worker.activity(name="greet")
    async def note_loop(ctx: ActivityContext) -> None:
        loops.append(asyncio.get_running_loop())

    running = asyncio.create_task(worker.run())
    await settle()
    await sidecars.made[0].received(methods.COMPLETE_ACTIVITY_TASK)
    worker.stop()
    await asyncio.wait_for(running, 20)

    assert loops == [asyncio.get_running_loop()]


async def test_run_can_be_cancelled_and_run_again(sidecars: ScriptedSidecars) -> None:
    worker = TaskHubGrpcWorker(connect=sidecars)
    for _ in range(2):
        running = asyncio.create_task(worker.run())
        await settle()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert [sidecar.times_closed for sidecar in sidecars.made] == [1, 1]


async def test_waiting_in_the_loop_of_the_worker_would_hang_and_is_refused() -> None:
    worker = TaskHubGrpcWorker(connect=ScriptedSidecars())
    running = asyncio.create_task(worker.run())
    await settle()

    with pytest.raises(RuntimeError, match=r"own thread.*await worker\.until_ready\(\)"):
        worker.wait_until_ready(20)

    worker.stop()
    await running


def test_a_program_that_does_not_stop_its_worker_ends_all_the_same() -> None:
    program = """
import threading
from tests.builders.worker import ScriptedSidecar, activity_item
from durabletask.worker import TaskHubGrpcWorker

began = threading.Event()
class Busy(ScriptedSidecar):
    def stream(self, *told, **more):
        stream = super().stream(*told, **more)
        stream.send(activity_item("hold"))
        return stream

worker = TaskHubGrpcWorker(connect=Busy)
@worker.activity
def hold(ctx):
    began.set()
    threading.Event().wait()

worker.start()
began.wait(20)
print("done")
"""

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.stdout, ended.returncode) == ("done\n", 0)
    assert "Traceback" not in ended.stderr


def test_importing_the_worker_loads_nothing_that_only_a_running_one_needs() -> None:
    program = """
import sys
import durabletask.worker
heavy = ("asyncio", "ssl", "grpc", "betterproto2", "durabletask.core.machine")
print([name for name in heavy if name in sys.modules])
"""

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout == "[]\n"


# Versions.


def test_children_are_started_with_the_default_version() -> None:
    sidecars = ScriptedSidecars(orchestrator_item([events.orchestrator_started(), begin("parent")]))

    with TaskHubGrpcWorker(connect=sidecars) as worker:

        @worker.orchestrator
        async def parent(ctx: OrchestrationContext) -> None:
            await ctx.call_sub_orchestrator("child")

        worker.use_versioning(VersioningOptions(default_version="1.5"))
        worker.start()

        assert sidecars.answer().actions[0].create_sub_orchestration.version == "1.5"


def test_an_orchestration_of_another_version_is_not_run() -> None:
    sidecars = ScriptedSidecars(orchestrator_item([events.orchestrator_started(), begin("hello")]))

    with TaskHubGrpcWorker(connect=sidecars) as worker:
        worker.add_orchestrator(hello)
        worker.use_versioning(VersioningOptions("1.0", match_strategy=VersionMatchStrategy.STRICT))
        worker.start()

        completion = sidecars.answer().actions[0].complete_orchestration

    assert completion.failure_details.error_type == "VersionMismatch"
