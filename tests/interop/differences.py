"""What durabletask-go does in another way than ours beside the features, and what is felt of it.

`tests/interop` holds the engine, and our SDK, to it: each entry has a test of its name.

Knows nothing about tests or their results.
"""

from __future__ import annotations

from dataclasses import dataclass

from .upstream import issue, source


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that durabletask-go does in another way than ours, and what a user sees of it."""

    engine_does: str
    user_sees: str
    reference: str


SHIELDS: dict[str, Difference] = {
    "a_sent_event_is_an_event_to_its_target": Difference(
        "delivers the sender's own record, EventSent, in place of an event",
        "an event, also where an orchestration sends it to itself",
        issue(8243),
    ),
    "every_attempt_of_a_retried_call_has_its_answer": Difference(
        "takes one answer for each action id, so that a second attempt under the same id hangs",
        "retries that work: each attempt has an id of its own",
        source("runtimestate/dedup/set.go"),
    ),
    "what_no_worker_has_the_version_for_waits": Difference(
        "knows the status STALLED, but sets it on no instance: its message has no target",
        "the instance waits, as RUNNING, and goes on when a worker has the version; on ours, under "
        '`dialect="dapr"`, as STALLED',
        source("runtimestate/applier.go"),
    ),
    "a_start_does_not_wait_for_a_worker": Difference(
        "answers a start when a worker has taken the first turn",
        "the start returns once the instance is stored",
        source("executor.go"),
    ),
    "a_terminated_child_tells_its_parent_why": Difference(
        "tells a parent that its child has failed, without any details",
        "a `TaskFailedError` which says that the child may have been terminated",
        source("runtimestate/applier.go"),
    ),
    "two_suspends_need_one_resume": Difference(
        "passes every suspend on to the worker",
        "suspended is suspended, however often it was asked for",
        source("executor.go"),
    ),
    "a_resume_of_what_runs_changes_nothing": Difference(
        "passes a resume on to the worker of an instance that is not suspended",
        "nothing happens",
        source("executor.go"),
    ),
    "work_that_ends_during_a_suspension_is_done_once": Difference(
        "goes on sending turns to the worker of a suspended instance",
        "what is suspended asks for nothing, and for nothing twice",
        source("orchestration.go"),
    ),
    "a_loop_of_continue_as_new_has_no_end_but_its_own": Difference(
        "gives up an instance that continues as new more than twenty times in a row",
        "as many times as the code likes: there is a turn between two of them",
        source("orchestration.go"),
    ),
    "what_is_asked_for_with_a_continuation_is_done": Difference(
        "drops whatever an orchestration asks for in the turn in which it continues as new",
        "all of it is done: the orchestration continues in the turn after",
        source("runtimestate/applier.go"),
    ),
    "a_timer_of_an_older_execution_leaves_the_next_alone": Difference(
        "fires a timer that was set before an orchestration continued as new into the execution "
        "after, under its number alone",
        "nothing: no two executions have a number in common",
        source("runtimestate/applier.go"),
    ),
    "a_result_of_an_older_execution_leaves_the_next_alone": Difference(
        "takes the result of an activity from before for that of the execution after, if both have "
        "the same id, and drops the right one",
        "the right one: no two executions have an id in common",
        source("runtimestate/dedup/set.go"),
    ),
}
"""What our SDK makes good; by the name of the test in `tests/interop/test_shields.py`."""

DIFFERENCES: dict[str, Difference] = {
    "the_id_of_what_has_ended_stays_taken": Difference(
        "never gives the id of an instance free, on SQLite",
        "`InstanceExistsError`, whatever the `reuse_id_policy`; purge the instance first",
        issue(42, "durabletask-go"),
    ),
    "what_is_told_to_an_instance_without_a_worker_waits": Difference(
        "answers terminate, suspend and resume when a worker has acted on them",
        "the call returns after 10 s with a warning, and takes effect when a worker comes",
        source("executor.go"),
    ),
    "what_runs_is_not_purged": Difference(
        "refuses to purge an instance that has not ended",
        "`InstanceStatusError`; elsewhere nothing is deleted, which the result says",
        source("executor.go"),
    ),
}
"""What is left; by the name of the test in `tests/interop/test_differences.py`."""
