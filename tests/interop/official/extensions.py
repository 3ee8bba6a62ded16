"""What the SDK builds upon entities and orchestrations: schedules, and export of histories."""

from __future__ import annotations

import gzip
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import PATIENCE, scenario, until

from durabletask.client import OrchestrationStatus
from durabletask.extensions.history_export import (
    ExportDestination,
    ExportFormat,
    ExportFormatKind,
    ExportHistoryClient,
    ExportJobCreationOptions,
    ExportJobStatus,
    ExportMode,
)
from durabletask.scheduled import (
    ScheduleCreationOptions,
    ScheduledTaskClient,
    ScheduleQuery,
    ScheduleStatus,
    ScheduleUpdateOptions,
)


def greet(_ctx, name):
    return f"hello {name}"


@scenario()
def a_schedule_starts_its_orchestration_again_and_again(harness):
    harness.listen("durabletask.scheduled")
    worker = harness.worker(greet)
    worker.configure_scheduled_tasks()
    worker.start()
    schedules = ScheduledTaskClient(harness.client, operation_timeout=PATIENCE)

    def greetings():
        states = harness.client.get_all_orchestration_states()
        return [state for state in states if state.name == "greet"]

    started = datetime.now(UTC)
    hourly = schedules.create_schedule(
        ScheduleCreationOptions(
            schedule_id="greetings",
            orchestration_name="greet",
            orchestration_input="world",
            interval=timedelta(seconds=1),
            start_at=started,
            start_immediately_if_late=True,
        )
    )

    until(lambda: len(greetings()) >= 3)
    assert datetime.now(UTC) - started >= timedelta(seconds=1)
    assert harness.wait(greetings()[0].instance_id).get_output() == "hello world"
    told = hourly.describe()
    assert told.status is ScheduleStatus.ACTIVE
    assert told.last_run_at >= started
    hourly.delete()
    assert schedules.get_schedule("greetings") is None


@scenario()
def a_schedule_is_paused_changed_resumed_and_listed(harness):
    harness.listen("durabletask.scheduled")
    worker = harness.worker(greet)
    worker.configure_scheduled_tasks()
    worker.start()
    schedules = ScheduledTaskClient(harness.client, operation_timeout=PATIENCE)

    for name in ("daily-a", "daily-b", "weekly"):
        schedules.create_schedule(ScheduleCreationOptions(name, "greet", timedelta(days=1)))
    daily = schedules.get_schedule_client("daily-a")

    daily.pause()
    assert daily.describe().status is ScheduleStatus.PAUSED
    paused = schedules.list_schedules(ScheduleQuery(status=ScheduleStatus.PAUSED))
    assert [one.schedule_id for one in paused] == ["daily-a"]
    daily.update(ScheduleUpdateOptions(interval=timedelta(hours=2)))
    daily.resume()
    until(lambda: daily.describe().next_run_at)
    told = daily.describe()
    assert (told.status, told.interval) == (ScheduleStatus.ACTIVE, timedelta(hours=2))
    found = schedules.list_schedules(ScheduleQuery(schedule_id_prefix="daily-", page_size=1))
    assert sorted(one.schedule_id for one in found) == ["daily-a", "daily-b"]


@scenario()
def what_a_schedule_cannot_do_is_refused_with_a_reason(harness):
    harness.listen("durabletask.scheduled")
    worker = harness.worker(greet)
    worker.configure_scheduled_tasks()
    worker.start()
    schedules = ScheduledTaskClient(harness.client, operation_timeout=PATIENCE)

    message = "nothing was refused"
    try:
        schedules.get_schedule_client("nobody").pause()
    except RuntimeError as error:
        message = str(error)

    assert "'nobody'" in message


class Folder:
    """A writer of histories to a directory."""

    def __init__(self, root):
        self.root = Path(root)

    def write(self, *, container, blob_name, payload, **_about):
        file = self.root / container / blob_name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(payload)

    def files(self):
        return sorted(file for file in self.root.rglob("*") if file.is_file())


def _export(harness, root, kind):
    """Export what has completed and failed; returns the files."""
    harness.listen("durabletask.extensions.history_export")
    folder = Folder(root)
    exports = ExportHistoryClient(harness.client, folder)

    def fail(_ctx, _):
        raise ValueError("no")

    def linger(ctx, _):
        yield ctx.wait_for_external_event("end")

    worker = harness.worker(greet, fail, linger)
    exports.register_worker(worker)
    worker.start()
    begin = datetime.now(UTC)
    for name in ("a", "b", "c"):
        harness.run(greet, input=name, instance_id=f"greet-{name}")
    harness.run(fail, instance_id="fail")
    harness.client.wait_for_orchestration_start(harness.start(linger))
    job = exports.create_job(
        ExportJobCreationOptions(
            mode=ExportMode.BATCH,
            completed_time_from=begin,
            completed_time_to=datetime.now(UTC),
            destination=ExportDestination(container="histories", prefix="today"),
            format=ExportFormat(kind=kind),
            max_instances_per_batch=2,
        )
    )
    done = exports.wait_for_job(job.job_id, timeout=PATIENCE, poll_interval=0.1)
    assert done.status is ExportJobStatus.COMPLETED, done
    assert (done.exported_instances, done.failed_instances) == (4, 0)
    assert [one.job_id for one in exports.list_jobs()] == [job.job_id]
    until(lambda: harness.status(job.orchestrator_instance_id) is OrchestrationStatus.COMPLETED)
    exports.delete_job(job.job_id)
    until(lambda: exports.get_job(job.job_id) is None)
    return folder.files()


@scenario()
def histories_are_exported_as_json(harness):
    with tempfile.TemporaryDirectory() as root:
        files = _export(harness, root, ExportFormatKind.JSON)
        documents = [json.loads(file.read_text()) for file in files]

    assert all(file.parent.name == "today" and file.suffix == ".json" for file in files)
    exported = sorted(document["instance_id"] for document in documents)
    assert exported == ["fail", "greet-a", "greet-b", "greet-c"]
    for document in documents:
        assert document["events"][-1]["event_type"] == "ExecutionCompletedEvent"


@scenario()
def histories_are_exported_as_compressed_lines(harness):
    with tempfile.TemporaryDirectory() as root:
        files = _export(harness, root, ExportFormatKind.JSONL_GZIP)
        documents = [gzip.decompress(file.read_bytes()).splitlines() for file in files]

    assert len(documents) == 4
    for lines in documents:
        assert len([json.loads(line) for line in lines]) >= 3
