"""Events reach whom they are for, in order, or nobody; their names are nobody's business here."""

from __future__ import annotations

from datetime import timedelta

from durabletask.sidecar.engine.commands import DeliverEvent, RaiseEvent
from durabletask.sidecar.engine.transition import Accepted, NotFound
from tests.builders.engine import EngineDriver, Status, end, kinds, send


def names(hub: EngineDriver, instance_id: str = "a") -> list[str]:
    events = hub.taken(instance_id).new
    return [event.event_raised.name for event in events if event.event_raised is not None]


def test_an_event_arrives_as_it_was_sent() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide()

    hub.do(RaiseEvent("ApprovalReceived", '{"by": "Ann"}'))

    [event] = hub.taken().new
    assert event.event_raised.name == "ApprovalReceived"
    assert event.event_raised.input == '{"by": "Ann"}'
    assert event.timestamp == hub.now


def test_events_raised_before_the_first_turn_follow_the_start() -> None:
    hub = EngineDriver()
    hub.start()
    hub.do(RaiseEvent("early"))

    assert kinds(hub.taken().new) == ["execution_started", "event_raised"]


def test_events_of_one_commit_keep_their_order() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide()

    hub.commit(*(("a", RaiseEvent(f"e{number}")) for number in range(50)))

    assert names(hub) == [f"e{number}" for number in range(50)]


def test_a_clock_that_was_set_back_does_not_lose_events() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide()
    hub.do(RaiseEvent("first"))
    hub.now -= timedelta(minutes=1)

    hub.do(RaiseEvent("second"))
    hub.decide()
    hub.pass_time(timedelta(minutes=2))

    assert names(hub) == ["first"]


def test_an_event_for_nobody_is_refused() -> None:
    hub = EngineDriver()

    reply = hub.do(RaiseEvent("hello"), "nobody")

    assert isinstance(reply, NotFound)
    assert "no such instance exists" in reply.text
    assert hub.committer.instance("default", "nobody") is None


def test_an_event_for_nobody_is_not_kept_for_whoever_comes_later() -> None:
    hub = EngineDriver()
    hub.do(RaiseEvent("orphan"))
    hub.do(DeliverEvent("orphan"))

    hub.start()

    assert kinds(hub.taken().new) == ["execution_started"]


def test_an_event_from_an_orchestration_arrives_as_event_raised() -> None:
    hub = EngineDriver()
    hub.start("b")
    hub.decide(to="b")
    hub.start()

    hub.decide(send(5, "b", "ping", "1"))

    [event] = hub.taken("b").new
    assert (event.event_raised.name, event.event_raised.input) == ("ping", "1")
    sent = hub.history()[-1]
    assert sent.event_id == 5
    assert (sent.event_sent.instance_id, sent.event_sent.name) == ("b", "ping")
    assert sent.event_sent.input == "1"


def test_sending_to_nobody_or_to_one_that_has_ended_does_no_harm() -> None:
    hub = EngineDriver()
    hub.start("b")
    hub.decide(end(), to="b")
    hub.start()

    reply = hub.answer(hub.taken(), send(1, "nobody", "x"), send(2, "b", "y"), send(3, "", "z"))

    assert isinstance(reply, Accepted)
    assert hub.status() is Status.RUNNING
    assert hub.turn("b") is None


def test_an_orchestration_may_send_an_event_to_itself() -> None:
    hub = EngineDriver()
    hub.start()

    hub.decide(send(1, "a", "note"))

    assert names(hub) == ["note"]
