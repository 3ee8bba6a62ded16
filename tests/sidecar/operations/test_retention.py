"""Retention: what is purged, when, and what is kept."""

from __future__ import annotations

import argparse
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.command import config
from durabletask.sidecar.command.options import FOR_EXEC, for_exec
from durabletask.sidecar.engine.commands import Purge
from durabletask.sidecar.engine.transition import Purged
from durabletask.sidecar.store import StoreError, UnreadableError
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.engine import EngineDriver, child, end
from tests.builders.sidecar import Peer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.store import Key, Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MONTH = 30 * DAY


class Commits(MemoryStore):
    """Remembers how many instances each commit removed, and may refuse to remove any."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[int] = []
        self.is_broken = False

    def commit(self, changes: Sequence[Any]) -> None:
        removed = sum(change.transitions[-1].removes for change in changes)
        if removed and self.is_broken:
            raise StoreError("the disk is full")
        super().commit(changes)
        if removed:
            self.removed.append(removed)


@asynccontextmanager
async def retaining(
    clock: ManualClock, store: Store | None = None, kept: timedelta | None = MONTH
) -> AsyncIterator[Peer]:
    async with serving(store=store or MemoryStore(), clock=clock, retention=kept) as peer:
        yield peer


async def ended(peer: Peer, *ids: str) -> None:
    """Instances of these ids that were terminated."""
    for instance_id in ids:
        await peer.start("order", instance_id)
        request = messages.TerminateRequest(instance_id=instance_id)
        await peer.call(methods.TERMINATE_INSTANCE, request)


async def at_rest(peer: Peer, clock: ManualClock) -> None:
    """Let short times pass until the sidecar has purged all that has expired."""
    while True:
        # What an alarm started is done by the time that later calls are answered.
        for _ in range(5):
            await peer.call(methods.HELLO)
        alarm = clock.next_alarm()
        if alarm is None or alarm - clock.now() >= SECOND:
            return
        clock.advance_to(alarm)


async def pass_time(peer: Peer, clock: ManualClock, by: timedelta) -> None:
    clock.advance(by)
    await at_rest(peer, clock)


async def there(peer: Peer, *ids: str) -> list[str]:
    """Which of these still exist."""
    return [each for each in ids if await peer.state(each) is not None]


async def test_an_ended_instance_is_purged_after_its_retention_and_not_before() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock) as peer:
        await ended(peer, "a")

        await pass_time(peer, clock, MONTH)
        assert await there(peer, "a") == ["a"]

        await pass_time(peer, clock, timedelta(minutes=1))
        assert await there(peer, "a") == []


async def test_without_retention_nothing_is_purged() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock, kept=None) as peer:
        await ended(peer, "a")

        await pass_time(peer, clock, 100 * MONTH)

        assert await there(peer, "a") == ["a"]


async def test_a_running_instance_is_never_purged() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock) as peer:
        await peer.start("order", "a")

        await pass_time(peer, clock, 100 * MONTH)

        assert await there(peer, "a") == ["a"]


async def test_the_age_of_an_instance_counts_from_its_end() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock) as peer:
        await peer.start("order", "late")
        await ended(peer, "early")
        clock.advance(MONTH / 2)
        request = messages.TerminateRequest(instance_id="late")
        await peer.call(methods.TERMINATE_INSTANCE, request)

        await pass_time(peer, clock, MONTH / 2 + timedelta(minutes=1))

        assert await there(peer, "early", "late") == ["late"]


async def test_what_expired_while_the_sidecar_was_stopped_is_purged_at_its_start() -> None:
    store, clock = MemoryStore(), ManualClock(NOON)
    async with retaining(clock, store) as peer:
        await ended(peer, "a")
    clock.advance(2 * MONTH)

    async with retaining(clock, store) as peer:
        await at_rest(peer, clock)

        assert await there(peer, "a") == []


async def test_retention_covers_every_task_hub() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock) as peer:
        hubs = [peer.of_hub("blue"), peer.of_hub("green")]
        for hub in hubs:
            await ended(hub, "a")

        await pass_time(peer, clock, MONTH + timedelta(minutes=1))

        assert [await there(hub, "a") for hub in hubs] == [[], []]


async def test_entities_are_kept_because_they_do_not_end() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock) as peer:
        request = messages.SignalEntityRequest(instance_id="@counter@a", name="add")
        await peer.call(methods.SIGNAL_ENTITY, request)

        await pass_time(peer, clock, 100 * MONTH)

        found = await peer.call(
            methods.GET_ENTITY, messages.GetEntityRequest(instance_id="@counter@a")
        )
        assert found.exists


async def test_many_instances_are_purged_in_small_commits_with_pauses() -> None:
    clock, store = ManualClock(NOON), Commits()
    async with retaining(clock, store) as peer:
        await ended(peer, *(f"i{number}" for number in range(95)))
        clock.advance(2 * MONTH)
        for _ in range(5):
            await peer.call(methods.HELLO)
        # The clock stands still, so the pause after the first batch does not end.
        assert len(store.removed) == 1

        await at_rest(peer, clock)

    assert sum(store.removed) == 95
    assert max(store.removed) <= 10


async def test_purging_goes_on_when_the_store_works_again() -> None:
    clock, store = ManualClock(NOON), Commits()
    async with retaining(clock, store) as peer:
        await ended(peer, "a")
        store.is_broken = True
        await pass_time(peer, clock, 2 * MONTH)
        assert await there(peer, "a") == ["a"]

        store.is_broken = False
        await pass_time(peer, clock, timedelta(minutes=1))

        assert await there(peer, "a") == []


class Cramped(MemoryStore):
    """Cannot give space back while `is_broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = True

    def trim(self, most_bytes: int) -> bool:
        if self.is_broken:
            raise StoreError("the disk is full")
        return super().trim(most_bytes)


async def test_a_lasting_failure_is_logged_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, store = ManualClock(NOON), Cramped()
    async with retaining(clock, store) as peer:
        for _ in range(3):
            await pass_time(peer, clock, timedelta(minutes=1))
        assert [each.levelname for each in caplog.records] == ["ERROR"]
        assert "the disk is full" in caplog.text
        assert "Traceback" not in caplog.text

        store.is_broken = False
        await pass_time(peer, clock, timedelta(minutes=1))

        assert [each.levelname for each in caplog.records] == ["ERROR", "WARNING"]


class OneDamaged(MemoryStore):
    """Cannot read one of its instances."""

    def load(self, key: Key) -> Instance | None:
        if key.instance_id == "damaged":
            raise UnreadableError("the stored data of 'damaged' is damaged")
        return super().load(key)


async def test_an_unreadable_instance_does_not_keep_others_from_being_purged() -> None:
    clock, store = ManualClock(NOON), MemoryStore()
    others = [f"i{number}" for number in range(25)]
    async with retaining(clock, store) as peer:
        await ended(peer, "damaged", *others)
    damaged = OneDamaged()
    vars(damaged).update(vars(store))
    clock.advance(2 * MONTH)

    async with retaining(clock, damaged) as peer:
        await at_rest(peer, clock)

        assert await there(peer, *others) == []


class Eventful(Commits):
    """Sets the clock forward by a day while it stores a removal."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def commit(self, changes: Sequence[Any]) -> None:
        before = len(self.removed)
        super().commit(changes)
        if len(self.removed) > before:
            self._clock.advance(DAY)


async def test_a_clock_that_is_set_forward_delays_the_next_batch_by_a_minute_at_most() -> None:
    clock = ManualClock(NOON)
    store = Eventful(clock)
    async with retaining(clock, store) as peer:
        await ended(peer, *(f"i{number}" for number in range(15)))
        clock.advance(2 * MONTH)
        await at_rest(peer, clock)
        assert sum(store.removed) == 10

        await pass_time(peer, clock, timedelta(minutes=1))

        assert sum(store.removed) == 15


async def test_the_next_search_is_when_the_next_instance_expires() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock) as peer:
        await ended(peer, "a")
        await pass_time(peer, clock, MONTH / 2)
        await at_rest(peer, clock)

        assert clock.next_alarm() == NOON + MONTH


async def test_a_short_retention_does_not_keep_the_sidecar_busy() -> None:
    clock = ManualClock(NOON)
    async with retaining(clock, kept=timedelta(microseconds=1)) as peer:
        await ended(peer, "a")
        for _ in range(5):
            await peer.call(methods.HELLO)

        alarm = clock.next_alarm()

        assert alarm is not None
        assert alarm - clock.now() >= timedelta(milliseconds=100)


async def test_the_file_shrinks_after_a_purge(tmp_path: Path) -> None:
    path, clock = tmp_path / "tasks.db", ManualClock(NOON)
    async with serving(path, clock=clock, retention=MONTH) as peer:
        for number in range(40):
            await peer.start("order", f"i{number}", input="x" * 100_000)
        before = path.stat().st_size + path.with_name("tasks.db-wal").stat().st_size
        for number in range(40):
            request = messages.TerminateRequest(instance_id=f"i{number}")
            await peer.call(methods.TERMINATE_INSTANCE, request)

        await pass_time(peer, clock, 2 * MONTH)

        assert before > 40 * 100_000
        assert path.stat().st_size < 40 * 100_000 / 10


def test_a_purge_by_age_spares_younger_instances() -> None:
    hub = EngineDriver()
    hub.start()
    hub.decide(end())
    ended_at = hub.state().progress.completed_at

    assert hub.do(Purge(ended_before=ended_at)) == Purged(0)
    assert hub.do(Purge(ended_before=hub.now)) == Purged(1)


def test_a_running_child_outlives_its_purged_parent() -> None:
    hub = EngineDriver()
    hub.start(name="parent")
    hub.decide(child(1, "kid"), end())
    hub.taken("kid")

    assert hub.do(Purge(ended_before=hub.now + SECOND)) == Purged(1)

    assert hub.state("kid").is_live
    hub.decide(end(), to="kid")
    assert not hub.state("kid").is_live


def test_a_parent_goes_on_after_its_child_is_purged() -> None:
    hub = EngineDriver()
    hub.start(name="parent")
    hub.decide(child(1, "kid"))
    hub.decide(end(result='"good"'), to="kid")

    assert hub.do(Purge(ended_before=hub.now + SECOND), to="kid") == Purged(1)

    assert hub.taken().new[-1].sub_orchestration_instance_completed.result == '"good"'


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "36501", "soon", "1e-12"])
def test_an_invalid_number_of_days_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        config.parse(argparse.ArgumentParser(), FOR_EXEC, [f"--retain={text}"])

    assert "--retain" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "kept"), [([], None), (["--retain", "30"], MONTH), (["--retain", "0.5"], DAY / 2)]
)
def test_days_are_read(arguments: list[str], kept: timedelta | None) -> None:
    options = for_exec(config.parse(argparse.ArgumentParser(), FOR_EXEC, arguments))

    assert options.retention == kept
