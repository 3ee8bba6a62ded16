"""Play scenarios with Dapr's workflow SDK for Python, and print as JSON how each went.

    dapr ADDRESS [NAME...]

Runs inside the peer's environment. By scenario, `error` (None when it is fulfilled) and
`warnings`; under the name "" what the SDK warned of, for it does not tell which workflow it
warns about.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

from dapr.ext.workflow import DaprWorkflowClient, WorkflowRuntime, WorkflowStatus
from dapr.ext.workflow.logger import LoggerOptions
from scenarios import ACTIVITIES, SCENARIOS, WORKFLOWS

# Warnings that a scenario provokes.
_PROVOKED = ("attempt ", "too far", "is suspended", "was terminated")


class WarningLog(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.warnings = set()

    def emit(self, record):
        said = record.getMessage()
        if not any(each in said for each in _PROVOKED):
            self.warnings.add(f"{record.levelname}: {said}")


class Harness:
    """What the scenarios stand on: one client and one worker with everything registered.

    The client has no way to name a task hub, so both use the default one.
    """

    # Seconds, against hangs only: far beyond what any scenario needs.
    patience = 60

    def __init__(self, address):
        self.log = WarningLog()
        host, _, port = address.rpartition(":")
        connection = {
            "host": host,
            "port": port,
            "logger_options": LoggerOptions(log_level="WARNING", log_handler=self.log),
        }
        self.client = DaprWorkflowClient(**connection)
        self.runtime = WorkflowRuntime(**connection)
        for workflow in WORKFLOWS:
            self.runtime.register_workflow(workflow)
        for activity in ACTIVITIES:
            self.runtime.register_activity(activity)
        self.runtime.start()

    def start(self, workflow, data=None):
        return self.client.schedule_new_workflow(workflow, input=data)

    def wait(self, instance_id):
        state = self.client.wait_for_workflow_completion(
            instance_id, timeout_in_seconds=self.patience
        )
        assert state is not None, f"{instance_id} does not exist"
        return state

    def result(self, workflow, data=None):
        """What the workflow returns; fails if it does not complete."""
        state = self.wait(self.start(workflow, data))
        assert state.runtime_status is WorkflowStatus.COMPLETED, state
        return json.loads(state.serialized_output)

    def status(self, instance_id):
        return self.client.get_workflow_state(instance_id).runtime_status

    def reaches(self, instance_id, status):
        """Wait for a status, which the API has no call for."""
        deadline = time.monotonic() + self.patience
        while self.status(instance_id) is not status:
            assert time.monotonic() < deadline, f"{instance_id} did not reach {status}"
            time.sleep(0.02)


def main(address, *names):
    harness = Harness(address)
    wanted = names or SCENARIOS
    with ThreadPoolExecutor(len(wanted)) as pool:
        errors = dict(zip(wanted, pool.map(lambda name: play(name, harness), wanted), strict=True))
    ends = {name: {"error": error, "warnings": []} for name, error in errors.items()}
    ends[""] = {"error": None, "warnings": sorted(harness.log.warnings)}
    print(json.dumps(ends), flush=True)
    # The runtime's threads would keep a program alive whose scenario hangs.
    os._exit(0)


def play(name, harness):
    try:
        SCENARIOS[name](harness)
    except Exception:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
