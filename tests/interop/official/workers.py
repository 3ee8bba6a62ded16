"""Which worker gets what: versions, filters, and workers that come and go."""

from __future__ import annotations

import threading
from collections import Counter

from harness import PATIENCE, scenario, until

from durabletask.client import OrchestrationStatus
from durabletask.entities import EntityInstanceId
from durabletask.worker import (
    ActivityWorkItemFilter,
    OrchestrationWorkItemFilter,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)


def told(answer):
    def where(_ctx, _):
        return answer

    return where


def strict(version, otherwise):
    return VersioningOptions(
        version=version,
        match_strategy=VersionMatchStrategy.STRICT,
        failure_strategy=otherwise,
    )


@scenario()
def what_one_worker_rejects_another_takes(harness):
    for version in ("1.0", "2.0"):
        worker = harness.worker(told(f"by {version}"))
        worker.use_versioning(strict(version, VersionFailureStrategy.REJECT))
        worker.start()

    versions = ["1.0", "2.0"] * 3
    ids = [harness.start("where", version=version) for version in versions]

    assert [harness.wait(one).get_output() for one in ids] == [f"by {one}" for one in versions]


@scenario()
def what_every_worker_rejects_waits_for_one_that_fits(harness):
    old = harness.worker(told("by the old one"))
    old.use_versioning(strict("1.0", VersionFailureStrategy.REJECT))
    old.start()
    instance_id = harness.start("where", version="2.0")
    # Both backends must have asked the old one first: the warnings of both are compared.
    until(lambda: harness.log.warnings)

    new = harness.worker(told("by the new one"))
    new.use_versioning(strict("2.0", VersionFailureStrategy.REJECT))
    new.start()

    assert harness.wait(instance_id).get_output() == "by the new one"


@scenario()
def a_version_that_does_not_match_fails_where_it_shall(harness):
    worker = harness.worker(told("done"))
    worker.use_versioning(
        VersioningOptions(
            version="1.0",
            match_strategy=VersionMatchStrategy.CURRENT_OR_OLDER,
            failure_strategy=VersionFailureStrategy.FAIL,
        )
    )
    worker.start()

    assert harness.run("where", version="0.9").get_output() == "done"
    state = harness.run("where", version="2.0")
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details.error_type == "VersionMismatch"


@scenario()
def a_worker_with_filters_gets_only_what_it_hosts(harness):
    def first(ctx, _):
        return (yield ctx.call_activity("shout", input="first"))

    def second(ctx, _):
        yield ctx.call_entity(EntityInstanceId("counter", "one"), "add")
        return (yield ctx.call_activity("shout", input="second"))

    def shout(_ctx, text):
        return text.upper()

    def counter(ctx, _):
        ctx.set_state(ctx.get_state(int, 0) + 1)

    for functions in (
        {"orchestrators": [first]},
        {"orchestrators": [second]},
        {"activities": [shout]},
        {"entities": [counter]},
    ):
        worker = harness.worker(*functions.pop("orchestrators", []), **functions)
        worker.use_work_item_filters()
        worker.start()

    ids = [harness.start(orchestrator) for orchestrator in (first, second) * 5]

    assert [harness.wait(one).get_output() for one in ids] == ["FIRST", "SECOND"] * 5


@scenario()
def filters_that_are_written_out_may_name_versions(harness):
    for version in ("1.0", "2.0"):
        worker = harness.worker(told(f"by {version}"))
        worker.use_work_item_filters(
            WorkItemFilters(
                orchestrations=[OrchestrationWorkItemFilter("where", [version])],
                activities=[ActivityWorkItemFilter("none")],
                entities=[],
            )
        )
        worker.start()

    versions = ["1.0", "2.0"] * 3
    ids = [harness.start("where", version=version) for version in versions]

    assert [harness.wait(one).get_output() for one in ids] == [f"by {one}" for one in versions]


@scenario()
def a_stopped_worker_leaves_its_work_to_the_next(harness):
    calls = Counter()
    began = threading.Event()

    def step(_ctx, number):
        calls[number] += 1
        if number == 5:
            began.set()
        return number

    def chain(ctx, _):
        done = []
        for number in range(20):
            done.append((yield ctx.call_activity(step, input=number)))  # noqa: PERF401
        return done

    first = harness.host(chain, activities=[step])
    instance_id = harness.start(chain)
    assert began.wait(PATIENCE)
    first.stop()
    harness.host(chain, activities=[step])

    assert harness.wait(instance_id).get_output() == list(range(20))
    assert set(calls) == set(range(20))


@scenario()
def a_worker_that_is_started_again_works_on(harness):
    worker = harness.host(told("done"))
    assert harness.result("where") == "done"

    worker.stop()
    waiting = harness.start("where")
    worker.start()

    assert harness.wait(waiting).get_output() == "done"
    until(lambda: harness.result("where") == "done")


@scenario("it sends what its worker cannot receive, again and again")
def a_history_too_large_to_receive_fails_its_orchestration_alone(harness):
    def megabyte(_ctx, _):
        return "x" * 2**20

    def hoard(ctx, count):
        for _ in range(count):
            yield ctx.call_activity(megabyte)

    harness.host(hoard, activities=[megabyte])

    state = harness.run(hoard, input=6)
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert "bytes" in state.failure_details.message, state.failure_details
    assert harness.result(hoard, input=1) is None
