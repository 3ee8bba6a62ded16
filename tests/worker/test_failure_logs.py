"""What fails is logged by the worker when it happens, with its traceback."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from durabletask.entities import EntityContext
from durabletask.protocol import methods
from durabletask.task import ActivityContext, OrchestrationContext
from tests.builders.broken_log import broken_log
from tests.builders.worker import OneInstanceEngine, activity_item, entity_item, settle
from tests.builders.worker_host import HostHarness, within


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno == logging.WARNING]


def fields(record: logging.LogRecord, *names: str) -> dict[str, Any]:
    return {name: getattr(record, name, None) for name in names}


def sync_fails(_ctx: ActivityContext) -> None:
    raise ValueError("no luck")


async def async_fails(_ctx: ActivityContext) -> None:
    raise ValueError("no luck")


@pytest.mark.parametrize("activity", [sync_fails, async_fails], ids=["sync", "async"])
async def test_a_failed_activity_is_logged_with_its_traceback(
    harness: HostHarness, activity: Any, caplog: pytest.LogCaptureFixture
) -> None:
    harness.registry.add_activity(activity, "pay")
    await harness.start()

    await harness.call("pay")

    (record,) = warnings(caplog)
    assert record.getMessage() == (
        "Instance 'one': activity 'pay' (task #1) failed with builtins.ValueError: no luck"
    )
    assert fields(record, "instance_id", "kind", "task_name", "task_id") == {
        "instance_id": "one",
        "kind": "activity",
        "task_name": "pay",
        "task_id": 1,
    }
    assert activity.__name__ in caplog.text


async def test_a_result_that_cannot_be_serialized_is_logged_as_a_failure(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.registry.add_activity(lambda _ctx: object(), "pay")
    await harness.start()

    await harness.call("pay")

    (record,) = warnings(caplog)
    assert "activity 'pay' (task #1) failed with" in record.getMessage()


async def test_an_activity_that_the_worker_cancels_to_stop_is_not_logged_as_failed(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    begun = asyncio.Event()

    async def waits(_ctx: ActivityContext) -> None:
        begun.set()
        await asyncio.Event().wait()

    harness.registry.add_activity(waits, "waits")
    await harness.start()
    harness.stream.send(activity_item("waits"))
    await begun.wait()

    stopping = asyncio.create_task(harness.stop(grace=1))
    await settle()
    await harness.clock.advance(1)
    await within(stopping)

    assert "CancelledError" not in caplog.text


async def test_a_failed_entity_operation_is_logged_with_its_traceback(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    def counter(_ctx: EntityContext, _input: object) -> None:
        raise ValueError("no luck")

    harness.registry.add_entity(counter)
    await harness.start()

    harness.stream.send(entity_item(("add", "1")))
    await harness.answer(methods.COMPLETE_ENTITY_TASK)

    (record,) = warnings(caplog)
    assert "operation 'add' failed with builtins.ValueError: no luck" in record.getMessage()
    assert fields(record, "kind", "task_name") == {"kind": "entity", "task_name": "add"}
    assert "in counter" in caplog.text


async def test_a_failed_orchestration_is_logged_with_its_traceback(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    def order(_ctx: OrchestrationContext) -> None:
        raise ValueError("no luck")

    harness.registry.add_orchestrator(order)
    await harness.start()

    instance = OneInstanceEngine("order")
    harness.stream.send(instance.work_item())
    await harness.answer(methods.COMPLETE_ORCHESTRATOR_TASK)

    (record,) = warnings(caplog)
    assert "(order) failed with builtins.ValueError: no luck" in record.getMessage()
    assert fields(record, "kind", "task_name") == {"kind": "orchestration", "task_name": "order"}
    assert "in order" in caplog.text


async def test_a_log_handler_that_raises_costs_no_failure(harness: HostHarness) -> None:
    def counter(_ctx: EntityContext, _input: object) -> None:
        raise ValueError("no luck")

    harness.overrides["log"] = broken_log(SystemExit(3))
    harness.registry.add_activity(sync_fails, "pay")
    harness.registry.add_entity(counter)
    await harness.start()

    failed = await harness.call("pay")
    harness.stream.send(entity_item(("add", "1")))
    batch = await harness.answer(methods.COMPLETE_ENTITY_TASK)

    assert failed.failure_details is not None
    assert batch.results[0].failure is not None
