"""The worker on engines of Dapr's dialect: what it says, keeps, fetches and gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durabletask.entities import EntityInstanceId
from durabletask.protocol import codec, events, messages, methods
from durabletask.protocol.dialects import DAPR
from durabletask.task import ActivityContext, OrchestrationContext
from durabletask.worker import (
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)
from durabletask.worker._stream import KEEP_ALIVE
from tests.builders.worker import DAPRS, START, ScriptedSidecar, refusal, settle
from tests.builders.worker_host import within

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.builders.worker_host import HostHarness

SILENCE = 120.0


async def given_up(harness: HostHarness) -> None:
    """Wait until the stream is closed, by work that another thread does."""
    while not harness.stream.is_closed:
        await settle()


@pytest.fixture
def harness(harness: HostHarness) -> HostHarness:
    harness.sidecar = ScriptedSidecar(DAPRS)
    return harness


def encoded(item: messages.WorkItem) -> bytes:
    return codec.encode(item, DAPR)


class DaprEngine:
    """durabletask-go with one instance: what it leaves out, and how it records."""

    def __init__(self, harness: HostHarness, name: str) -> None:
        self.harness = harness
        self.history: list[messages.HistoryEvent] = []
        self._sent = 0
        self.turns = 0
        self._inbox = [events.execution_started(name, instance_id="one", execution_id="first")]

    async def turn(self) -> messages.OrchestratorResponse:
        """Send a turn, wait for its answer and record it; activities return at once."""
        self.turns += 1
        new = [events.orchestrator_started(START), *self._inbox]
        self.harness.stream.send(self._work_item(new))
        response: messages.OrchestratorResponse = await self.harness.answer(
            methods.COMPLETE_ORCHESTRATOR_TASK, self.turns
        )
        self._sent = len(self.history)
        self._record(new, response)
        return response

    def _work_item(self, new: list[messages.HistoryEvent]) -> bytes:
        request = messages.OrchestratorRequest(
            instance_id="one",
            execution_id="first",
            past_events=self.history[self._sent :],
            new_events=new,
            cached_history=messages.CachedHistory(event_count=self._sent) if self._sent else None,
        )
        return encoded(messages.WorkItem(orchestrator_request=request, completion_token="t"))

    def _record(
        self, new: list[messages.HistoryEvent], response: messages.OrchestratorResponse
    ) -> None:
        # Through the codec: what a response has that Dapr's dialect has not is lost on the way.
        response = codec.decode(type(response), codec.encode(response, DAPR), DAPR)
        if response.version is not None:
            assert new[0].orchestrator_started is not None
            new[0].orchestrator_started.version = response.version
        self.history += new
        self._inbox = []
        for action in response.actions:
            if (task := action.schedule_task) is not None:
                self.history.append(events.task_scheduled(action.id, task.name))
                self._inbox.append(events.task_completed(action.id, str(action.id % 1000)))

    def tells_history(self) -> None:
        """From now on the whole history can be asked for."""
        self.harness.sidecar.responses["GetInstanceHistory"] = messages.GetInstanceHistoryResponse(
            events=list(self.history)
        )


class PatchedChain:
    """Three steps, one of them behind a patch if there is one; counts how often it is begun."""

    def __init__(self, *patches: str) -> None:
        self.patches = patches
        self.times_begun = 0

    def __call__(self, ctx: OrchestrationContext) -> Generator[Any, Any, int]:
        self.times_begun += 1
        result = 0
        for number in range(3):
            taken = [ctx.is_patched(patch) for patch in self.patches]
            assert all(taken)
            result = yield ctx.call_activity("step", input=number)
        return result


async def test_the_engine_is_told_that_histories_are_cached(harness: HostHarness) -> None:
    await harness.start()

    assert harness.stream.request.capabilities == [messages.WorkerCapability.STATEFUL_HISTORY]


async def test_a_worker_that_caches_no_histories_does_not_announce_it(harness: HostHarness) -> None:
    harness.overrides["max_cached_orchestrations"] = 0
    await harness.start()

    assert harness.stream.request.capabilities == []


@pytest.mark.parametrize("patches", [(), ("a patch",)], ids=["plain", "with patches"])
async def test_a_turn_with_new_events_only_continues_the_session(
    harness: HostHarness, patches: tuple[str, ...]
) -> None:
    """Also where the engine records with a turn what code took it, and so changes its bytes."""
    chain = PatchedChain(*patches)
    harness.registry.add_orchestrator(chain, "chain")
    await harness.start()
    engine = DaprEngine(harness, "chain")

    responses = [await engine.turn() for _ in range(4)]

    end = responses[-1].actions[-1].complete_orchestration
    assert end is not None
    assert end.result == "3"
    assert chain.times_begun == 1
    assert harness.sidecar.requests(methods.GET_INSTANCE_HISTORY) == []


async def test_a_history_that_is_no_longer_cached_is_fetched(harness: HostHarness) -> None:
    harness.overrides["max_cached_orchestrations"] = 1
    chain = PatchedChain("a patch")
    harness.registry.add_orchestrator(chain, "chain")
    await harness.start()
    engine, other = DaprEngine(harness, "chain"), PatchedChain()
    harness.registry.add_orchestrator(other, "other")
    await engine.turn()
    await engine.turn()
    harness.stream.send(_other_instance())
    await harness.answer(methods.COMPLETE_ORCHESTRATOR_TASK, 3)
    engine.turns += 1
    engine.tells_history()

    await engine.turn()
    response = await engine.turn()

    end = response.actions[-1].complete_orchestration
    assert end is not None
    assert end.result == "3"
    assert chain.times_begun == 2
    assert harness.sidecar.requests(methods.GET_INSTANCE_HISTORY) == [
        messages.GetInstanceHistoryRequest(instance_id="one")
    ]


def _other_instance() -> bytes:
    request = messages.OrchestratorRequest(
        instance_id="two",
        new_events=[events.execution_started("other", instance_id="two")],
    )
    return encoded(messages.WorkItem(orchestrator_request=request, completion_token="t"))


def _with_history_left_out(token: str = "t") -> bytes:
    request = messages.OrchestratorRequest(
        instance_id="one",
        cached_history=messages.CachedHistory(event_count=5),
        new_events=[events.orchestrator_started(START)],
    )
    return encoded(messages.WorkItem(orchestrator_request=request, completion_token=token))


@pytest.mark.parametrize("told", [None, []], ids=["refused", "too short"])
async def test_a_turn_whose_history_cannot_be_fetched_is_sent_again(
    harness: HostHarness, told: list[messages.HistoryEvent] | None
) -> None:
    if told is None:
        harness.sidecar.refuse(methods.GET_INSTANCE_HISTORY, refusal("UNKNOWN", "broken"))
    await harness.start()

    harness.stream.send(_with_history_left_out())
    await harness.sidecar.received(methods.GET_INSTANCE_HISTORY)
    await within(given_up(harness))
    await harness.clock.advance(1)

    assert await harness.sidecar.opened(2) is not harness.stream
    assert not [name for name, _ in harness.sidecar.calls if name.startswith("Complete")]


async def test_the_engine_is_not_called_with_methods_that_it_does_not_have(
    harness: HostHarness,
) -> None:
    await harness.start()

    cut_off = encoded(messages.WorkItem(completion_token="t")) + b"\x12\x03\x1a\x01\x0a"
    harness.stream.send(cut_off)
    await within(given_up(harness))

    assert {name for name, _ in harness.sidecar.calls} == {"Hello"}


async def test_an_engine_that_sends_no_pings_is_called_regularly(harness: HostHarness) -> None:
    await harness.start()
    await settle()

    for _ in range(10):
        await harness.clock.advance(KEEP_ALIVE)

    assert len(harness.sidecar.streams) == 1
    assert len(harness.sidecar.requests(methods.HELLO)) == 11


async def test_an_engine_that_answers_no_such_call_is_idle(harness: HostHarness) -> None:
    await harness.start()
    harness.sidecar.refuse(methods.HELLO, *(refusal("DEADLINE_EXCEEDED") for _ in range(4)))

    await harness.clock.advance(SILENCE + 1)

    assert harness.stream.is_closed


async def test_an_engine_that_sends_pings_is_not_called_regularly(harness: HostHarness) -> None:
    harness.sidecar = ScriptedSidecar()
    await harness.start()

    await harness.clock.advance(KEEP_ALIVE)

    assert len(harness.sidecar.requests(methods.HELLO)) == 1


async def test_an_activity_is_told_the_identity_of_its_call(harness: HostHarness) -> None:
    @harness.activity
    def asks(ctx: ActivityContext) -> str | None:
        return ctx.task_execution_id

    await harness.start()
    request = messages.ActivityRequest(name="asks", task_id=1, task_execution_id="the call's")
    harness.stream.send(encoded(messages.WorkItem(activity_request=request, completion_token="t")))

    response = await harness.answer(methods.COMPLETE_ACTIVITY_TASK)
    assert response.result == '"the call\'s"'
    assert response.completion_token == "t"


async def test_an_entity_is_not_called_and_the_error_names_the_engine(harness: HostHarness) -> None:
    @harness.orchestrator
    def uses(ctx: OrchestrationContext) -> None:
        ctx.signal_entity(EntityInstanceId("counter", "one"), "add")

    await harness.start()
    response = await DaprEngine(harness, "uses").turn()

    (action,) = response.actions
    assert action.complete_orchestration is not None
    told = action.complete_orchestration.failure_details
    assert told is not None
    assert DAPRS.name in told.error_message


async def test_an_orchestration_of_a_version_to_reject_waits_for_another_worker(
    harness: HostHarness,
) -> None:
    harness.registry.add_orchestrator(PatchedChain(), "chain")
    harness.overrides["versioning"] = VersioningOptions(
        "1.0", None, VersionMatchStrategy.STRICT, VersionFailureStrategy.REJECT
    )
    await harness.start()

    response = await DaprEngine(harness, "chain").turn()

    (action,) = response.actions
    assert action.orchestration_version_not_available is not None


@pytest.mark.parametrize(
    "text", ["unknown instance ID/task ID combo: one/1", "operation failed: channel closed"]
)
async def test_a_completion_that_comes_too_late_is_dropped(
    harness: HostHarness, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    @harness.activity
    def greet(_ctx: ActivityContext) -> str:
        return "hello"

    await harness.start()
    harness.sidecar.refuse(methods.COMPLETE_ACTIVITY_TASK, refusal("UNKNOWN", text))
    await harness.call("greet")
    await settle()

    assert len(harness.sidecar.requests(methods.COMPLETE_ACTIVITY_TASK)) == 1
    assert caplog.records == []


async def test_filters_that_the_engine_has_not_are_told(
    harness: HostHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.overrides["filters"] = WorkItemFilters()
    await harness.start()

    assert "has no work item filters" in caplog.text
