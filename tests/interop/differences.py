"""Differences between durabletask-go and our engine beside the features, and what users see of them.

Each entry has a test of its name in `tests/interop`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .upstream import issue, source


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that durabletask-go does differently, and what a user of our SDK sees."""

    engine_does: str
    user_sees: str
    reference: str


SHIELDS: dict[str, Difference] = {
    "a_sent_event_is_received_as_an_event": Difference(
        "delivers the sender's own record, EventSent, instead of EventRaised",
        "an event, also where an orchestration sends it to itself",
        issue(8243),
    ),
    "every_attempt_of_a_retried_call_has_its_answer": Difference(
        "accepts one answer for each action id, so a second attempt with the same id hangs",
        "retries work: each attempt has an id of its own",
        source("runtimestate/dedup/set.go"),
    ),
    "an_instance_whose_version_no_worker_has_waits": Difference(
        "has the status STALLED, but never sets it: its message has no target",
        "the instance waits as RUNNING, and continues when a worker has the version; on our sidecar, "
        'with `dialect="dapr"`, it waits as STALLED',
        source("runtimestate/applier.go"),
    ),
    "a_start_does_not_wait_for_a_worker": Difference(
        "answers a start only when a worker has received the first turn",
        "a start returns once the instance is stored",
        source("executor.go"),
    ),
    "a_terminated_child_tells_its_parent_why": Difference(
        "tells a parent that its child failed, but gives no details",
        "a `TaskFailedError` that says that the child may have been terminated",
        source("runtimestate/applier.go"),
    ),
    "two_suspends_need_one_resume": Difference(
        "passes every suspend on to the worker",
        "a single resume ends any number of suspends",
        source("executor.go"),
    ),
    "resuming_a_running_instance_changes_nothing": Difference(
        "passes a resume on to the worker of an instance that is not suspended",
        "nothing happens",
        source("executor.go"),
    ),
    "an_activity_that_ends_during_a_suspension_runs_once": Difference(
        "keeps sending turns of a suspended instance to the worker",
        "an instance requests no actions while it is suspended, and none twice after the resume",
        source("orchestration.go"),
    ),
    "an_orchestration_continues_as_new_without_a_limit": Difference(
        "gives up an instance that continues as new more than twenty times in a row",
        "no limit: the SDK adds a turn between two of them",
        source("orchestration.go"),
    ),
    "actions_requested_with_continue_as_new_are_carried_out": Difference(
        "drops all actions of the turn in which an orchestration continues as new",
        "all actions are carried out: the orchestration continues as new in the next turn",
        source("runtimestate/applier.go"),
    ),
    "a_timer_of_an_earlier_execution_does_not_fire_in_the_next": Difference(
        "delivers a timer of an earlier execution to the execution after continue-as-new, by its "
        "number alone",
        "nothing: no two executions have a number in common",
        source("runtimestate/applier.go"),
    ),
    "a_result_of_an_earlier_execution_does_not_reach_the_next": Difference(
        "takes the result of an activity of an earlier execution for that of the next, if both have "
        "the same id, and drops the right one",
        "the right result: no two executions have an id in common",
        source("runtimestate/dedup/set.go"),
    ),
}
"""Hidden by our SDK; by the name of the test in `tests/interop/test_shields.py`."""

DIFFERENCES: dict[str, Difference] = {
    "the_id_of_an_ended_instance_stays_taken": Difference(
        "never frees the id of an instance, on SQLite",
        "`InstanceExistsError`, whatever the `reuse_id_policy`; purge the instance first",
        issue(42, "durabletask-go"),
    ),
    "a_control_call_without_a_worker_takes_effect_later": Difference(
        "answers terminate, suspend and resume only when a worker has processed them",
        "the call returns after 10 s with a warning, and takes effect when a worker connects",
        source("executor.go"),
    ),
    "a_running_instance_is_not_purged": Difference(
        "refuses to purge an instance that has not ended",
        "`InstanceStatusError`; on other engines the result says that nothing was deleted",
        source("executor.go"),
    ),
}
"""Visible to users; by the name of the test in `tests/interop/test_differences.py`."""
