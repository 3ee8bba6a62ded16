"""Reading and writing messages: our codec beside betterproto2's own, in one run.

The load is that of a long orchestration: an orchestrator's request whose history has 2,002
events (a thousand activities, each scheduled and completed), and a response with 1,000 actions.
Both codecs run in turn on the same bytes; the figures are the best of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from durabletask.protocol import codec, events, messages, work_items

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIVITIES = 1000
SKIPPED = 1990


@dataclass(frozen=True, slots=True)
class Contest:
    """One job, done by our codec and by betterproto2's."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    target: float | None = None
    """How many times faster ours must be; None when nothing was promised."""
    repeat: int = 1
    """How often the job is done for one measurement, for those that are short."""


@dataclass(frozen=True, slots=True)
class Result:
    contest: Contest
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    @property
    def missed(self) -> bool:
        return self.contest.target is not None and self.ratio < self.contest.target

    def __str__(self) -> str:
        target = "" if self.contest.target is None else f">= {self.contest.target:g}"
        return (
            f"{self.contest.name:36}{self.ours * 1e3:10.4f}{self.theirs * 1e3:14.3f}"
            f"{self.ratio:9.1f}  {target:8}{'MISSED' if self.missed else ''}"
        ).rstrip()


def contests() -> list[Contest]:
    item = messages.WorkItem(orchestrator_request=_request(), completion_token="t" * 36)
    raw = codec.encode(item)
    response = _response()
    activity = codec.encode(_activity())
    history = codec.encode(_request().past_events[-1])
    return [
        Contest(
            "decode 2,002 events",
            lambda: codec.decode(messages.WorkItem, raw),
            lambda: messages.WorkItem.parse(raw),
            target=8,
        ),
        Contest(
            f"the same, {SKIPPED:,} skipped",
            lambda: work_items.peek(raw).past_events.decode(skip=SKIPPED),
            lambda: messages.WorkItem.parse(raw),
            target=100,
        ),
        Contest(
            "the same, peeked at only",
            lambda: work_items.peek(raw),
            lambda: messages.WorkItem.parse(raw),
        ),
        Contest(
            "encode 1,000 actions",
            lambda: codec.encode(response),
            lambda: bytes(response),
            target=15,
        ),
        Contest(
            "decode one activity request",
            lambda: codec.decode(messages.ActivityRequest, activity),
            lambda: messages.ActivityRequest.parse(activity),
            repeat=100,
        ),
        Contest(
            "make and encode one history event",
            lambda: codec.encode(events.task_completed(1, '"Hello"')),
            lambda: bytes(_constructed_event()),
            repeat=100,
        ),
        Contest(
            "decode one history event",
            lambda: codec.decode(messages.HistoryEvent, history),
            lambda: messages.HistoryEvent.parse(history),
            repeat=100,
        ),
    ]


def measure(contest: Contest, rounds: int) -> Result:
    """The best of the rounds for each side, taken in turn."""
    # First uses compile functions and build tables; they are not what is measured.
    contest.ours()
    contest.theirs()
    ours = theirs = float("inf")
    for _ in range(rounds):
        for _ in range(5):
            ours = min(ours, _seconds(contest.ours, contest.repeat))
        theirs = min(theirs, _seconds(contest.theirs, contest.repeat))
    return Result(contest, ours, theirs)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args(argv).rounds
    print(f"{'best of the rounds, in ms':36}{'ours':>10}{'betterproto2':>14}{'ratio':>9}  target")
    missed = False
    for contest in contests():
        result = measure(contest, rounds)
        print(result, flush=True)
        missed = missed or result.missed
    return 1 if missed else 0


def _seconds(job: Callable[[], Any], repeat: int) -> float:
    # As timeit does: a collection costs what else is in memory, not what the job does.
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        for _ in range(repeat):
            job()
        return (time.perf_counter() - started) / repeat
    finally:
        gc.enable()


def _request() -> messages.OrchestratorRequest:
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC)
    history = [
        events.orchestrator_started(begin),
        events.execution_started(
            "chain", '{"length": 1000}', instance_id="c" * 32, execution_id="e" * 32, at=begin
        ),
    ]
    for number in range(1, ACTIVITIES + 1):
        at = begin + timedelta(microseconds=7123 * number)
        history.append(events.task_scheduled(number, "hello", '"Tokyo"', at=at))
        history.append(
            events.task_completed(number, '"Hello Tokyo!"', at=at + timedelta(microseconds=3001))
        )
    return messages.OrchestratorRequest(
        instance_id="c" * 32, execution_id="e" * 32, past_events=history
    )


def _response() -> messages.OrchestratorResponse:
    return messages.OrchestratorResponse(
        instance_id="c" * 32,
        actions=[
            messages.OrchestratorAction(
                id=number,
                schedule_task=messages.ScheduleTaskAction(name="hello", input='"Tokyo"'),
            )
            for number in range(1, ACTIVITIES + 1)
        ],
        completion_token="t" * 36,
    )


def _activity() -> messages.ActivityRequest:
    return messages.ActivityRequest(
        name="hello",
        input='"Tokyo"',
        orchestration_instance=messages.OrchestrationInstance(
            instance_id="c" * 32, execution_id="e" * 32
        ),
        task_id=7,
    )


def _constructed_event() -> messages.HistoryEvent:
    return messages.HistoryEvent(
        event_id=-1,
        task_completed=messages.TaskCompletedEvent(task_scheduled_id=1, result='"Hello"'),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
