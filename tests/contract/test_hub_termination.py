"""Terminate: alone, against what is under way, and with all children."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from durabletask.protocol import messages
from tests.builders.contract import Client, EngineUnderTest, Worker, again, child, terminate
from tests.builders.sidecar import complete, schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Status = messages.OrchestrationStatus


@asynccontextmanager
async def obeying(worker: Worker) -> AsyncIterator[None]:
    """For engines that leave it to the worker to end what is to be terminated.

    The worker takes nothing else, and is gone afterwards.
    """
    task = asyncio.create_task(_obey(worker))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _obey(worker: Worker) -> None:
    while True:
        turn = await worker.turn()
        for terminated in turn.new("execution_terminated"):
            status = Status.TERMINATED
            await turn.decide(complete(-1, terminated.input, orchestration_status=status))


@pytest.mark.checklist(42)
async def test_an_instance_is_terminated_though_there_is_no_worker(client: Client) -> None:
    id = await client.start()

    await client.terminate(id, '"enough"')

    state = await client.completed(id)
    assert (state.orchestration_status, state.output) == (Status.TERMINATED, '"enough"')


@pytest.mark.checklist(42)
async def test_a_delayed_instance_is_terminated_before_it_starts(
    hub: EngineUnderTest, client: Client
) -> None:
    id = await client.start(scheduled_start_timestamp=hub.now().replace(year=3000))

    await client.terminate(id)

    assert (await client.completed(id)).orchestration_status == Status.TERMINATED


@pytest.mark.checklist(43)
async def test_termination_wins_over_continue_as_new(client: Client) -> None:
    worker = client.worker()
    id = await client.start()
    turn = await worker.turn()

    await client.terminate(id, '"enough"')
    await turn.decide(again(1, '"next"'))

    async with obeying(worker):
        state = await client.completed(id)
    assert (state.orchestration_status, state.output) == (Status.TERMINATED, '"enough"')


@pytest.mark.checklist(44)
async def test_a_recursive_termination_reaches_all_levels_and_older_generations(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    ids = {name: hub.new_id(name) for name in ("parent", "older", "younger", "grandchild")}
    await client.start("parent", ids["parent"])
    first = await worker.turn(ids["parent"])
    await first.decide(child(1, instance_id=ids["older"]))
    await client.raise_event(ids["parent"])
    await (await worker.turn(ids["parent"])).decide(again(2))
    second = await worker.turn(ids["parent"])
    await second.decide(child(1, instance_id=ids["younger"]))
    grandparent = await worker.turn(ids["younger"])
    await grandparent.decide(child(1, instance_id=ids["grandchild"]))

    async with obeying(worker):
        await client.terminate(ids["parent"], '"enough"', recursive=True)
        states = [await client.completed(id) for id in ids.values()]

    assert {state.orchestration_status for state in states} == {Status.TERMINATED}


@pytest.mark.checklist(44)
async def test_a_termination_that_is_not_recursive_leaves_children_alone(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id))
    orphan = await worker.turn(id)

    await client.terminate(parent)
    await orphan.decide(complete(1, '"done"'))

    assert (await client.completed(parent)).orchestration_status == Status.TERMINATED
    assert (await client.completed(id)).orchestration_status == Status.COMPLETED


@pytest.mark.checklist(44)
async def test_an_orchestrator_can_terminate_another_instance(client: Client) -> None:
    worker = client.worker()
    target = await client.start(scheduled_start_timestamp=None)
    await worker.turn(target)
    id = await client.start()

    await (await worker.turn(id)).decide(terminate(1, target, reason='"enough"'))

    async with obeying(worker):
        state = await client.completed(target)
    assert (state.orchestration_status, state.output) == (Status.TERMINATED, '"enough"')


@pytest.mark.checklist(45)
@pytest.mark.parametrize("output", [None, "", '"enough"'])
async def test_what_a_termination_says_becomes_the_output(
    client: Client, output: str | None
) -> None:
    worker = client.worker()
    id = await client.start()
    await (await worker.turn()).decide()

    async with obeying(worker):
        await client.terminate(id, output)

        assert (await client.completed(id)).output == output


@pytest.mark.checklist(45)
async def test_activities_of_a_terminated_instance_are_not_begun_any_more(client: Client) -> None:
    turns = client.worker(
        work_item_filters=messages.WorkItemFilters(
            orchestrations=[messages.OrchestrationFilter(name="order")]
        )
    )
    id = await client.start()
    await (await turns.turn()).decide(schedule(1, "old"))

    async with obeying(turns):
        await client.terminate(id)
        await client.completed(id)
    await client.start()
    everything = client.worker()
    await (await everything.turn()).decide(schedule(1, "new"))

    assert (await everything.next()).name == "new"


@pytest.mark.checklist(44)
async def test_a_recursive_termination_reaches_children_of_what_is_over(
    hub: EngineUnderTest, client: Client
) -> None:
    worker = client.worker()
    parent, id = await client.start(), hub.new_id("child")
    await (await worker.turn(parent)).decide(child(1, instance_id=id), complete(2))
    await client.completed(parent)
    await worker.turn(id)

    await client.terminate(parent, '"enough"', recursive=True)

    async with obeying(worker):
        assert (await client.completed(id)).orchestration_status == Status.TERMINATED
    assert (await client.state(parent)).orchestration_status == Status.COMPLETED
