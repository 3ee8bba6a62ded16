"""Entities run one operation after the other, and tell those who wait."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durabletask.protocol import messages
from durabletask.sidecar.engine.commands import Purge, RaiseEvent, StartInstance
from durabletask.sidecar.engine.entities.commands import CleanEntity, PurgeEntity, SignalEntity
from durabletask.sidecar.engine.transition import Purged, Stale
from durabletask.sidecar.store import Key
from tests.builders.engine import HUB, EngineDriver, Status, again, end, fail, kinds
from tests.builders.engine_entities import (
    COUNTER,
    answer,
    batch,
    call,
    entity,
    lock,
    raised,
    returned,
    run,
    signal,
    taken,
)

HOUR = timedelta(hours=1)


def asking(*actions: object) -> EngineDriver:
    """A hub whose orchestration 'a' has asked for these in its first turn."""
    hub = EngineDriver()
    hub.start()
    hub.decide(*actions)
    return hub


def test_messages_are_run_in_the_order_in_which_they_were_sent() -> None:
    hub = asking(signal(1, "r1"), call(2, "r2"), signal(3, "r3"))

    assert taken(hub).request_ids == ["r1", "r2", "r3"]


def test_what_was_sent_is_in_the_history_of_the_sender() -> None:
    hub = asking(signal(1, "r1"), call(2, "r2"))

    signaled, called = hub.history()[-2:]
    assert signaled.event_id == 1
    assert signaled.entity_operation_signaled.request_id == "r1"
    assert called.event_id == 2
    assert called.entity_operation_called.target_instance_id == COUNTER


def test_only_a_call_is_answered() -> None:
    hub = asking(signal(1, "r1"), call(2, "r2"))

    run(hub, COUNTER, returned("1"), returned("2"))

    (event,) = hub.taken().new
    assert event.entity_operation_completed == messages.EntityOperationCompletedEvent(
        request_id="r2", output="2"
    )


def test_an_operation_that_raised_fails_its_call_and_keeps_the_others() -> None:
    hub = asking(call(1, "r1"), call(2, "r2"))

    run(hub, COUNTER, raised("no"), returned("2"), state="2")

    failed, completed = hub.taken().new
    assert failed.entity_operation_failed.failure_details.error_message == "no"
    assert completed.entity_operation_completed.output == "2"
    assert entity(hub).progress.state == "2"


def test_a_batch_that_failed_as_a_whole_changes_nothing_and_fails_every_call() -> None:
    hub = asking(call(1, "r1"), signal(2, "r2"))
    run(hub, state="1")
    hub.decide(call(3, "r3"), call(4, "r4"))

    given = taken(hub)
    broken = messages.TaskFailureDetails(error_type="Broken", error_message="all of it")
    answer(hub, given, state="never", failure=broken)

    assert [event.entity_operation_failed.request_id for event in hub.taken().new] == ["r3", "r4"]
    assert entity(hub).progress.state == "1"
    assert batch(hub) is None


def test_operations_that_were_not_run_stand_first_in_the_queue_still() -> None:
    hub = asking(call(1, "r1"), call(2, "r2"), call(3, "r3"))

    run(hub, COUNTER, returned("1"))

    assert taken(hub).request_ids == ["r2", "r3"]


def test_a_delayed_signal_waits_and_holds_no_other() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(signal(1, "late", scheduled_time=hub.now + HOUR), signal(2, "soon"))

    assert taken(hub).request_ids == ["soon"]
    run(hub)
    assert batch(hub) is None
    hub.pass_time(HOUR)
    assert taken(hub).request_ids == ["late"]


def test_a_request_that_comes_again_while_it_waits_counts_once() -> None:
    hub = EngineDriver()
    hub.do(SignalEntity("r1", "add"), COUNTER)
    hub.do(SignalEntity("r1", "add"), COUNTER)

    assert taken(hub).request_ids == ["r1"]


def test_senders_that_give_no_ids_repeat_nothing() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(signal(1, ""), signal(2, ""))

    assert taken(hub).request_ids == ["", ""]


def test_two_orchestrations_may_have_the_same_id_for_their_calls() -> None:
    hub = EngineDriver()
    for instance_id in ("a", "b"):
        hub.start(instance_id)
        hub.decide(call(1, "r1"), to=instance_id)

    run(hub, COUNTER, returned("1"), returned("2"))

    outputs = [hub.taken(each).new[0].entity_operation_completed.output for each in ("a", "b")]
    assert outputs == ["1", "2"]


def test_a_call_whose_answer_waits_unread_is_not_made_again() -> None:
    hub = asking(call(1, "r1"))
    hub.do(RaiseEvent("go"))
    turn = hub.taken()
    run(hub)

    hub.answer(turn, call(1, "r1"))

    assert batch(hub) is None
    assert kinds(hub.taken().new) == ["entity_operation_completed"]


@pytest.mark.parametrize("bad", ["counter", "@counter", "@@a", "@counter@", ""])
def test_a_call_of_what_is_no_entity_fails(bad: str) -> None:
    hub = asking(call(1, "r1", bad))

    (event,) = hub.taken().new
    details = event.entity_operation_failed.failure_details
    assert details.error_type == "InvalidArgument"
    assert "@name@key" in details.error_message


def test_the_name_of_an_entity_is_the_same_in_any_case() -> None:
    hub = asking(signal(1, "r1", "@Counter@A"), signal(2, "r2", "@COUNTER@A"))

    assert taken(hub, "@counter@A").request_ids == ["r1", "r2"]


@pytest.mark.parametrize("ending", [end(result="1"), fail(), again("2")])
def test_the_answer_to_an_execution_that_is_over_is_dropped(ending: object) -> None:
    hub = asking(call(1, "r1"), ending)

    run(hub)

    turn = hub.turn()
    assert turn is None or kinds(turn.new) == ["execution_started"]


def test_the_answer_to_an_instance_that_was_replaced_is_dropped() -> None:
    hub = asking(call(1, "r1"))
    given = taken(hub)
    hub.do(StartInstance("order", replaceable=frozenset({int(Status.RUNNING)})))

    answer(hub, given)

    assert kinds(hub.taken().new) == ["execution_started"]


def test_what_an_operation_asks_for_is_in_the_same_commit() -> None:
    hub = asking(signal(1, "r1"))
    actions = (
        messages.OperationAction(
            send_signal=messages.SendSignalAction(instance_id="@Log@a", name="note", input="1")
        ),
        messages.OperationAction(
            start_new_orchestration=messages.StartNewOrchestrationAction(
                instance_id="started", name="order", input="2", version="3"
            )
        ),
    )

    answer(hub, taken(hub), actions=actions)

    (note,) = taken(hub, "@log@a").operations
    assert (note.operation, note.input) == ("note", "1")
    assert note.request_id
    started = hub.taken("started").new[0].execution_started
    assert (started.name, started.input, started.version) == ("order", "2", "3")
    assert started.parent_instance is None


@pytest.mark.parametrize("instance_id", ["a", "@an@entity", "bad\n"])
def test_an_orchestration_that_cannot_be_started_is_left_out(instance_id: str) -> None:
    hub = asking(signal(1, "r1"))
    start = messages.StartNewOrchestrationAction(instance_id=instance_id, name="other")

    answer(hub, taken(hub), actions=(messages.OperationAction(start_new_orchestration=start),))

    assert hub.state().origin.name == "order"
    assert entity(hub).progress.state is None
    assert hub.committer.instance(HUB, "bad\n") is None


def test_a_batch_of_an_entity_that_was_purged_and_made_anew_is_stale() -> None:
    hub = EngineDriver()
    hub.do(SignalEntity("r1", "add"), COUNTER)
    old = taken(hub)
    hub.do(PurgeEntity(), COUNTER)
    hub.do(SignalEntity("r2", "add"), COUNTER)

    reply = answer(hub, old, state="old")

    assert isinstance(reply, Stale)
    assert taken(hub).request_ids == ["r2"]


def test_an_entity_that_somebody_waits_for_is_not_purged() -> None:
    hub = asking(call(1, "r1"))

    assert hub.do(PurgeEntity(), COUNTER) == Purged(0)
    run(hub)
    assert hub.do(PurgeEntity(), COUNTER) == Purged(1)
    assert hub.do(PurgeEntity(), COUNTER) == Purged(0)


def test_only_an_empty_entity_is_cleaned_away() -> None:
    hub = EngineDriver()
    hub.do(SignalEntity("r1", "add"), COUNTER)
    assert hub.do(CleanEntity(), COUNTER) == Purged(0)
    run(hub, state="1")
    assert hub.do(CleanEntity(), COUNTER) == Purged(0)
    hub.do(SignalEntity("r2", "delete"), COUNTER)
    run(hub, state=None)

    assert hub.do(CleanEntity(), COUNTER) == Purged(1)
    assert hub.store.load_entity(Key(HUB, COUNTER)) is None


def test_a_batch_takes_no_more_than_there_is_room_for_but_always_one() -> None:
    hub = EngineDriver()
    for number in range(3):
        hub.do(SignalEntity(f"r{number}", "add", '"' + 1000 * "x" + '"'), COUNTER)

    prepared = hub.items.prepare_batch(HUB, COUNTER, token="", now=hub.now, room=2500 + 4096)
    narrow = hub.items.prepare_batch(HUB, COUNTER, token="", now=hub.now, room=10)

    assert prepared is not None
    assert len(prepared.batch.numbers) == 2
    assert narrow is not None
    assert len(narrow.batch.numbers) == 1


def test_a_batch_ends_before_a_lock_request() -> None:
    hub = asking(signal(1, "r1"), lock(2, "s", COUNTER), signal(3, "r2"))

    assert taken(hub).request_ids == ["r1"]


def test_the_last_modification_is_that_of_the_last_batch() -> None:
    hub = EngineDriver()
    hub.do(SignalEntity("r1", "add"), COUNTER)
    run(hub, state="1")
    modified_at = hub.now
    hub.pass_time(HOUR)

    hub.do(SignalEntity("r2", "add"), COUNTER)

    assert entity(hub).progress.modified_at == modified_at


def test_purging_an_orchestration_leaves_entities_alone() -> None:
    hub = asking(signal(1, "r1"), end(result="1"))

    hub.do(Purge())

    assert taken(hub).request_ids == ["r1"]


def test_the_room_for_a_batch_is_counted_in_bytes() -> None:
    hub = EngineDriver()
    hub.do(SignalEntity("r0", "add"), COUNTER)
    run(hub, state='"' + 1000 * "\u6f22" + '"')
    for number in range(3):
        hub.do(SignalEntity(f"r{number}", "add", '"' + 900 * "x" + '"'), COUNTER)

    prepared = hub.items.prepare_batch(HUB, COUNTER, token="", now=hub.now, room=9_000)

    assert prepared is not None
    assert len(prepared.batch.numbers) == 1
    assert len(prepared.work_item) < 9_000


def test_signals_without_an_id_are_all_run() -> None:
    hub = asking(signal(1, ""), signal(2, ""))

    assert taken(hub).request_ids == ["", ""]
    run(hub)
    assert batch(hub) is None
