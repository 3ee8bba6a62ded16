"""What the engine takes on, and what becomes of that which would be more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import (
    Purge,
    RaiseEvent,
    Restart,
    Resume,
    Rewind,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.engine.entities.commands import SignalEntity
from durabletask.sidecar.engine.limits import Limits, names
from durabletask.sidecar.engine.transition import (
    ACCEPTED,
    AlreadyExists,
    Exhausted,
    InvalidArgument,
    Purged,
)
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.engine import (
    HUB,
    EngineDriver,
    Status,
    again,
    child,
    end,
    fail,
    failure,
    schedule,
    send,
)
from tests.builders.engine_entities import (
    COUNTER,
    answer,
    call,
    entity,
    raised,
    returned,
    signal,
    taken,
)

if TYPE_CHECKING:
    from durabletask.sidecar.commit.notifications import Work
    from durabletask.sidecar.engine.commands import Command

# 11 bytes in UTF-8, though 10 characters.
ELEVEN = "123456789é"
TEN = "1234567890"


def detached(id: int, instance_id: str) -> Any:
    action = messages.CreateDetachedOrchestrationAction(instance_id=instance_id, name="ship")
    return messages.OrchestratorAction(id=id, create_detached_orchestration=action)


def rewinding(history: list[Any]) -> Any:
    action = messages.RewindOrchestrationAction(new_history=history)
    return messages.OrchestratorAction(id=-1, rewind_orchestration=action)


def failed_with(hub: EngineDriver, instance_id: str = "a") -> messages.TaskFailureDetails:
    """Why the instance has failed."""
    assert hub.status(instance_id) is Status.FAILED
    found = hub.state(instance_id).progress.failure
    assert found is not None
    return found


def sole_task(hub: EngineDriver) -> Work:
    (task,) = hub.tasks
    return task


# Limits


@pytest.mark.parametrize("name", names())
def test_a_limit_is_a_number_from_one_on_or_none(name: str) -> None:
    Limits(**{name: 1})
    Limits(**{name: None})

    with pytest.raises(
        ValueError, match=f"{name} must be at least 1, or None for no limit; it is 0"
    ):
        Limits(**{name: 0})


def test_ids_can_be_no_longer_than_keys() -> None:
    with pytest.raises(ValueError, match="id_length must be at most 1000; it is 1001"):
        Limits(id_length=1001)


# Payloads of clients


@pytest.mark.parametrize(
    "command",
    [
        StartInstance("order", ELEVEN),
        RaiseEvent("paid", ELEVEN),
        Suspend(ELEVEN),
        Resume(ELEVEN),
        Rewind(ELEVEN),
        Terminate(ELEVEN),
        SignalEntity("1", "add", ELEVEN),
    ],
    ids=lambda it: type(it).__name__,
)
def test_a_payload_that_is_too_large_is_refused_and_nothing_has_happened(command: Command) -> None:
    hub = EngineDriver(payload_bytes=10)
    is_start = isinstance(command, StartInstance)
    is_signal = isinstance(command, SignalEntity)
    if not is_start:
        hub.start("a")
    before = None if is_start else hub.state().progress

    reply = hub.do(command, COUNTER if is_signal else "a")

    assert isinstance(reply, InvalidArgument)
    assert "has 11 bytes; the limit is 10 (payload_bytes, --max-payload-bytes)" in reply.text
    assert (None if is_start else hub.state().progress) == before
    assert hub.store.load(Key(HUB, "a")) is None or not is_start
    assert hub.committer.entity(HUB, COUNTER) is None


def test_a_payload_of_just_that_size_is_taken() -> None:
    hub = EngineDriver(payload_bytes=10)

    assert hub.start("a", input=TEN) == ACCEPTED
    assert hub.state().origin.input == TEN


def test_without_a_limit_everything_is_taken() -> None:
    hub = EngineDriver(payload_bytes=None)

    assert hub.start("a", input="x" * 20_000_000) == ACCEPTED


# Payloads of workers


def test_an_activity_whose_result_is_too_large_has_failed() -> None:
    hub = EngineDriver(payload_bytes=10)
    hub.start()
    hub.decide(schedule(1))

    assert hub.finish(sole_task(hub), ELEVEN) == ACCEPTED

    (event,) = hub.taken().new
    details = event.task_failed.failure_details
    assert details.error_type == "PayloadTooLarge"
    assert details.error_message.startswith("The result of the activity has 11 bytes")
    assert details.is_non_retriable


@pytest.mark.parametrize(
    ("action", "what"),
    [
        (schedule(1, input=ELEVEN), "The input of action 1 (schedule task)"),
        (child(1, input=ELEVEN), "The input of action 1 (create sub orchestration)"),
        (send(1, "b", "paid", ELEVEN), "The input of action 1 (send event)"),
        (signal(1, "r", input=ELEVEN), "The input of action 1 (entity operation signaled)"),
        (call(1, "r", input=ELEVEN), "The input of action 1 (entity operation called)"),
        (end(result=ELEVEN), "The output of the orchestration"),
        (again(ELEVEN), "The input for the next execution of the orchestration"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_an_orchestration_that_passes_on_too_much_fails_once_and_does_nothing_else(
    action: Any, what: str
) -> None:
    hub = EngineDriver(payload_bytes=10)
    hub.start()

    assert hub.answer(hub.taken(), schedule(7), action) == ACCEPTED

    details = failed_with(hub)
    assert details.error_type == "PayloadTooLarge"
    assert details.error_message.startswith(f"{what} has 11 bytes; the limit is 10")
    assert hub.tasks == []
    assert hub.turn() is None


def test_a_custom_status_that_is_too_large_fails_its_orchestration_which_keeps_the_old_one() -> (
    None
):
    hub = EngineDriver(payload_bytes=10)
    hub.start()
    hub.decide(schedule(1), custom_status="fine")
    hub.finish_next()

    hub.decide(custom_status=ELEVEN)

    assert failed_with(hub).error_message.startswith("The custom status has 11 bytes")
    assert hub.state().progress.custom_status == "fine"


@pytest.mark.parametrize("is_final", [False, True])
def test_of_a_failure_that_is_too_large_the_kind_and_the_beginning_are_kept(
    *, is_final: bool
) -> None:
    """What retries go by must not depend on how long a text is."""
    hub = EngineDriver(payload_bytes=1000)
    hub.start()
    hub.decide(schedule(1))
    details = failure(
        "x" * 2000,
        error_type="TimeoutError",
        stack_trace="y" * 2000,
        is_non_retriable=is_final,
    )

    hub.finish(sole_task(hub), failure=details)

    (event,) = hub.taken().new
    told = event.task_failed.failure_details
    assert (told.error_type, told.is_non_retriable) == ("TimeoutError", is_final)
    assert told.error_message.startswith("x" * 250 + " (cut: the failure has 40")
    assert told.stack_trace is None


def test_an_orchestration_that_fails_with_too_much_fails_with_the_beginning_of_it() -> None:
    hub = EngineDriver(payload_bytes=1000)
    hub.start()

    hub.decide(fail(text="x" * 2000))

    details = failed_with(hub)
    assert details.error_type == "ValueError"
    assert len(details.error_message) < 1000


def test_an_operation_whose_result_is_too_large_has_failed_and_the_others_have_not() -> None:
    hub = EngineDriver(payload_bytes=10)
    hub.start()
    hub.decide(call(1, "r1"), call(2, "r2"), call(3, "r3"))

    given = taken(hub)
    answer(hub, given, returned(ELEVEN), returned("fine"), raised("x" * 20), state=TEN)

    first, second, third = hub.taken().new
    details = first.entity_operation_failed.failure_details
    assert details.error_type == "PayloadTooLarge"
    assert details.error_message.startswith("The result of the operation has 11 bytes")
    assert second.entity_operation_completed.output == "fine"
    assert "(cut: " in third.entity_operation_failed.failure_details.error_message
    assert entity(hub).progress.state == TEN


def test_operations_that_leave_too_large_a_state_have_failed_and_left_the_old_one() -> None:
    hub = EngineDriver(payload_bytes=10)
    hub.start()
    hub.decide(call(1, "r1"))
    answer(hub, taken(hub), state="old")
    hub.decide(call(2, "r2"))

    answer(hub, taken(hub), returned("fine"), state=ELEVEN)

    (event,) = hub.taken().new
    details = event.entity_operation_failed.failure_details
    assert details.error_message.startswith("The state of the entity has 11 bytes")
    assert entity(hub).progress.state == "old"


# Ids


def test_an_id_that_is_too_long_is_refused() -> None:
    hub = EngineDriver(id_length=3)

    reply = hub.start("abcd")

    assert isinstance(reply, InvalidArgument)
    assert "4 characters; the limit is 3 (id_length, --max-id-length)" in reply.text
    assert hub.start("abc") == ACCEPTED


def test_a_child_whose_id_is_too_long_has_failed() -> None:
    hub = EngineDriver(id_length=3)
    hub.start()

    hub.decide(child(1, "abcd"))

    (event,) = hub.taken().new
    details = event.sub_orchestration_instance_failed.failure_details
    assert "the limit is 3 (id_length" in details.error_message


# Histories


def test_an_orchestration_whose_history_grows_too_long_fails_and_is_told_what_to_do() -> None:
    hub = EngineDriver(history_events=6)
    hub.start()
    hub.decide(schedule(1))
    hub.finish_next()

    # Two of the turn to come, and one each.
    hub.decide(schedule(2), schedule(3))

    details = failed_with(hub)
    assert details.error_type == "HistoryTooLong"
    assert details.is_non_retriable
    assert "would have 7 events after this turn" in details.error_message
    assert "the limit is 6 (history_events, --max-history-events)" in details.error_message
    assert "continue as new" in details.error_message
    assert hub.tasks == []
    assert hub.history_kinds()[-2:] == ["task_completed", "execution_completed"]


def test_a_history_of_just_that_length_goes_on() -> None:
    hub = EngineDriver(history_events=6)
    hub.start()
    hub.decide(schedule(1))
    hub.finish_next()

    hub.decide(schedule(2))

    assert hub.status() is Status.RUNNING
    assert len(hub.history()) == 6


def test_bytes_are_counted_as_they_are_stored() -> None:
    def goes_on(most_bytes: int | None) -> EngineDriver:
        hub = EngineDriver(history_bytes=most_bytes)
        hub.start()
        hub.decide(schedule(1))
        hub.finish_next("x" * 100)
        hub.decide(schedule(2))
        return hub

    size = len(goes_on(None).store.history(Key(HUB, "a")))

    assert goes_on(size).status() is Status.RUNNING
    details = failed_with(goes_on(size - 1))
    assert details.error_type == "HistoryTooLong"
    assert f"would have {size} bytes after this turn; the limit is {size - 1} (history_bytes" in (
        details.error_message
    )


@pytest.mark.parametrize(
    ("action", "status"),
    [(end(result="done"), Status.COMPLETED), (fail(), Status.FAILED), (again(), Status.RUNNING)],
    ids=["completes", "fails", "continues as new"],
)
def test_an_orchestration_of_any_length_may_end_or_continue_as_new(
    action: Any, status: Status
) -> None:
    hub = EngineDriver(history_events=3, history_bytes=200)
    hub.start()

    hub.decide(schedule(1), schedule(2), action)

    assert hub.status() is status
    assert len(hub.tasks) == (0 if status is Status.RUNNING else 2)


def test_one_that_outgrew_a_limit_goes_on_when_that_is_raised_and_it_is_rewound() -> None:
    store = MemoryStore()
    narrow = EngineDriver(store, history_events=6)
    narrow.start()
    narrow.decide(schedule(1))
    narrow.finish_next("one")
    narrow.decide(schedule(2), schedule(3))
    assert narrow.status() is Status.FAILED

    wide = EngineDriver(store, history_events=7)
    wide.do(Rewind())
    past = wide.taken().request.past_events
    wide.decide(rewinding([event for event in past if event.execution_completed is None]))
    wide.decide(end(result="done"))

    assert wide.state().progress.output == "done"
    assert "task_completed" in wide.history_kinds()


def test_a_rewound_history_is_counted_once() -> None:
    """The new one takes the place of the old one, and is not added to it."""
    hub = EngineDriver(history_bytes=600)
    hub.start()
    hub.decide(schedule(1, input="x" * 200), fail())

    hub.do(Rewind())
    past = hub.taken().request.past_events
    hub.decide(rewinding([event for event in past if event.execution_completed is None]))

    assert hub.status() is Status.RUNNING
    assert 300 < len(hub.store.history(Key(HUB, "a"))) < 600


def test_a_parent_hears_of_a_child_that_grew_too_long() -> None:
    hub = EngineDriver(history_events=4)
    hub.start()
    hub.decide(child(1, "b"))

    hub.decide(schedule(1), schedule(2), schedule(3), to="b")

    (event,) = hub.taken().new
    details = event.sub_orchestration_instance_failed.failure_details
    assert details.error_type == "HistoryTooLong"


def test_events_that_outgrow_a_history_are_consumed_by_the_turn_that_fails() -> None:
    """Nothing is left that would bring the turn again."""
    hub = EngineDriver(history_events=10)
    hub.start()
    hub.decide()
    for number in range(20):
        hub.do(RaiseEvent("tick", str(number)))

    turn = hub.decide()

    assert len(turn.new) == 20
    assert failed_with(hub).error_type == "HistoryTooLong"
    assert len(hub.state().inbox) == 0
    assert hub.do(RaiseEvent("tick")) == ACCEPTED
    assert hub.turn() is None


# What waits


def test_an_event_for_an_orchestration_that_has_too_many_is_refused_until_it_catches_up() -> None:
    hub = EngineDriver(waiting=2)
    hub.start()
    hub.decide()
    hub.do(RaiseEvent("tick", "1"))
    hub.do(RaiseEvent("tick", "2"))

    refused = hub.do(RaiseEvent("tick", "3"))
    turn = hub.decide()

    assert isinstance(refused, Exhausted)
    assert "'a' already has 2 events and messages queued; the limit is 2 (waiting" in refused.text
    assert [event.event_raised.input for event in turn.new] == ["1", "2"]
    assert hub.do(RaiseEvent("tick", "4")) == ACCEPTED


def test_what_other_orchestrations_send_is_taken_however_much_waits() -> None:
    """The sender's turn is committed, and has been told that it was sent."""
    hub = EngineDriver(waiting=1)
    hub.start("a")
    hub.decide(to="a")
    hub.start("b")

    hub.decide(send(1, "a", "x", "1"), send(2, "a", "x", "2"), send(3, "a", "x", "3"), to="b")

    assert [event.event_raised.input for event in hub.taken("a").new] == ["1", "2", "3"]


def test_an_event_for_what_has_ended_is_dropped_and_not_refused() -> None:
    hub = EngineDriver(waiting=1)
    hub.start()
    hub.decide(end())

    assert hub.do(RaiseEvent("tick")) == ACCEPTED
    assert hub.do(RaiseEvent("tick")) == ACCEPTED


def test_a_signal_for_an_entity_that_has_too_many_is_refused_until_it_catches_up() -> None:
    hub = EngineDriver(waiting=2)
    for number in ("1", "2"):
        hub.do(SignalEntity(number, "add"), COUNTER)

    refused = hub.do(SignalEntity("3", "add"), COUNTER)
    given = taken(hub)
    answer(hub, given)

    assert isinstance(refused, Exhausted)
    assert given.request_ids == ["1", "2"]
    assert hub.do(SignalEntity("4", "add"), COUNTER) == ACCEPTED


# Instances


def test_one_orchestration_too_many_is_refused_until_another_has_ended() -> None:
    hub = EngineDriver(instances=2)
    hub.start("a")
    hub.start("b")

    refused = hub.start("c")
    hub.decide(end(), to="a")

    assert isinstance(refused, Exhausted)
    assert "2 orchestrations of this task hub have not ended; the limit is 2" in refused.text
    assert "(instances, --max-instances)" in refused.text
    assert hub.start("c") == ACCEPTED


def test_starts_in_one_commit_are_counted_one_by_one() -> None:
    hub = EngineDriver(instances=2)

    replies = hub.commit(*((name, StartInstance("order")) for name in "abc")).replies

    assert [type(reply) for reply in replies] == [type(ACCEPTED), type(ACCEPTED), Exhausted]


def test_a_start_that_would_make_none_is_answered_as_ever_though_there_is_no_room() -> None:
    hub = EngineDriver(instances=1)
    hub.start("a", execution_id="e")

    assert hub.start("a", execution_id="e") == ACCEPTED
    assert isinstance(hub.start("a"), AlreadyExists)
    replacing = StartInstance("order", "new", replaceable=frozenset({Status.PENDING}))
    assert hub.do(replacing) == ACCEPTED
    assert hub.state().origin.input == "new"


@pytest.mark.parametrize("command", [Restart(), Restart("c"), Rewind()])
def test_what_brings_another_to_life_is_refused_too(command: Command) -> None:
    hub = EngineDriver(instances=1)
    hub.start("a")
    hub.decide(fail(), to="a")
    hub.start("b")

    refused = hub.do(command, "a")

    assert isinstance(refused, Exhausted)
    assert hub.status("a") is Status.FAILED
    assert hub.store.load(Key(HUB, "c")) is None


def test_a_child_too_many_has_failed_and_may_be_tried_again() -> None:
    hub = EngineDriver(instances=1)
    hub.start()

    hub.decide(child(1, "b"))

    (event,) = hub.taken().new
    details = event.sub_orchestration_instance_failed.failure_details
    assert details.error_type == "TooManyInstances"
    assert not details.is_non_retriable
    assert "the limit is 1 (instances, --max-instances)" in details.error_message
    assert hub.store.load(Key(HUB, "b")) is None


def test_a_detached_one_too_many_is_there_and_has_failed() -> None:
    """Nobody waits for it, so it must not vanish without a word."""
    hub = EngineDriver(instances=1)
    hub.start()

    hub.decide(detached(1, "b"))

    assert failed_with(hub, "b").error_type == "TooManyInstances"
    assert hub.history_kinds("b") == ["execution_started", "execution_completed"]
    assert hub.turn("b") is None
    assert hub.committer.live_count(HUB) == 1
    assert hub.do(Purge(), "b") == Purged(1)


def test_a_child_that_takes_the_place_of_one_that_has_ended_is_one_more() -> None:
    hub = EngineDriver(instances=2)
    hub.start("a")
    hub.decide(child(1, "c"), to="a")
    hub.decide(fail(), to="c")
    hub.start("b")

    hub.decide(child(2, "c"), to="a")

    (event,) = hub.taken("a").new
    assert event.sub_orchestration_instance_failed.task_scheduled_id == 2
    assert hub.committer.live_count(HUB) == 2


def test_a_task_hub_that_is_wiped_has_room_again() -> None:
    hub = EngineDriver(instances=1)
    hub.start()

    hub.committer.wipe(HUB)

    assert hub.start() == ACCEPTED


def test_those_that_continue_as_new_are_counted_once() -> None:
    hub = EngineDriver(instances=2)
    hub.start("a")
    for _ in range(5):
        hub.pass_time(timedelta(seconds=1))
        hub.decide(again(), to="a")

    assert hub.committer.live_count(HUB) == 1
