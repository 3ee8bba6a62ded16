"""The conformance checklist: what every engine of the protocol must do.

Each item is tested by the tests that are marked with its number, or is listed below with the
reason why it has none. The texts name no engine.
"""

from __future__ import annotations

SECTIONS: dict[str, dict[int, str]] = {
    "Starting and ids": {
        1: "an empty id is generated",
        2: "an empty name is INVALID_ARGUMENT",
        3: "a duplicate is ALREADY_EXISTS",
        4: "replaceableStatus replaces an instance that has ended, then a running one; "
        "an old activity result does not reach the new execution",
        5: "a delayed start stays PENDING and starts on time after a restart",
        6: "version, tags, execution id and parent are visible in the state",
        7: "Dapr: the id of an ended instance is reusable; enforceUniqueInstanceId is ALREADY_EXISTS",
        8: "a start returns without any worker",
    },
    "State and waiting calls": {
        9: "a missing instance has exists=false",
        10: "payloads are returned only with the flag",
        11: "100 concurrent waits do not block other calls",
        12: "a call whose deadline passes is DEADLINE_EXCEEDED",
        13: "a waiting call returns within 50 ms of the commit",
        14: "null and empty payloads differ",
    },
    "Turns": {
        15: "newEvents[0] is OrchestratorStarted, and timestamps never decrease",
        16: "events raised during a turn are delivered in the next, in order",
        17: "1,000 events in order, in capped batches",
        18: "at most one turn of an instance is with a worker",
        19: "the custom status is set and cleared",
        20: "an unknown action fails the instance, once",
        21: "an action that is requested again is ignored",
        22: "a retry with the same id works, and so does a late result of attempt 1",
        23: "gaps and duplicates among ids are tolerated",
    },
    "Leases": {
        24: "work items of all three kinds on a broken stream go to a second worker within 1 s",
        25: "a completion with a stale token is answered with OK and has no effect",
        26: "a completion after its stream has ended is accepted",
        27: "an empty token is accepted when it is unambiguous",
        28: "abandoned work items of all three kinds are handed out again, with back-off",
        29: "kill -9 at each commit point: no history lost or doubled",
        30: "an activity of 10 minutes on a live stream runs once",
        31: "concurrency limits are respected",
        32: "filters, including empty categories and versions",
        33: "a HealthPing every 30 s at least",
        34: "a graceful shutdown ends streams cleanly",
        35: "a response in parts (isPartial) is joined",
    },
    "Suspend, resume, terminate": {
        36: "resuming a running instance does nothing",
        37: "an instance that is suspended twice and resumed once is running",
        38: "an activity that completes while suspended runs exactly once",
        39: "timers that are due while suspended fire at resume",
        40: "terminating a suspended instance makes it TERMINATED",
        41: "suspending a PENDING instance",
        42: "terminating without a worker",
        43: "terminating during continue-as-new makes it TERMINATED",
        44: "recursive terminate over 3 levels, including children of earlier executions",
        45: "the output of a terminated instance is what the call passed",
    },
    "Continue-as-new": {
        46: "carried-over events in order, then those of the inbox",
        47: "signals, events and unlocks of that turn are delivered",
        48: "activity, timer and other results for the earlier execution are dropped",
        49: "10,000 executions in a row, with a bounded history and no limit",
        50: "tags, version or newVersion, and parent are kept; "
        "a child that continues as new reports to its parent",
    },
    "Sub-orchestrations": {
        51: "the format of generated ids",
        52: "failure details are complete: type, inner failure, nonRetriable, properties",
        53: "a terminated child is Failed, with details",
        54: "an id in use: Failed when its instance is running, replaced when it has ended",
        55: "the parent is purged or replaced before the child ends: the message is dropped",
        56: "a child that runs for 60 s",
    },
    "Events": {
        57: "sendEvent arrives as EventRaised",
        58: "sendEvent to a missing id does not fail",
        59: "event names keep their case; workers may compare them without it",
        60: "an event for an ended instance changes nothing",
        61: "a timer in the far future (year 9999)",
    },
    "Purge and query": {
        62: "purging a running instance purges 0 (Dapr: FAILED_PRECONDITION)",
        63: "the time interval of a filter is half open",
        64: "a recursive purge with a missing child",
        65: "a purge that times out has isComplete=false",
        66: "pages are stable while instances are added; no page token is '0'",
        67: "the order of ListInstanceIds",
    },
    "Restart and rewind": {
        68: "restart with the same and with a new id; tags are kept",
        69: "rewind: simple, nested child, purged child, leftover events in the inbox",
        70: "rewinding a COMPLETED instance is FAILED_PRECONDITION",
    },
    "Entities": {
        71: "first in, first out",
        72: "a held lock excludes others, and its holder is served before the queue",
        73: "two orchestrations that lock {A, B} and {B, A} never deadlock",
        74: "a lock is released on complete, fail, terminate, continue-as-new, purge "
        "and the crash of a worker",
        75: "batches of version 1 and version 2",
        76: "fewer results than operations: the remaining operations are sent again",
        77: "delayed signals",
        78: "an entity starts an orchestration",
        79: "an answer is never delivered twice",
        80: "empty entities are cleaned; locks are released when their holder has ended, and only then",
    },
    "Versions, traces and limits": {
        81: "REJECT: the turn goes to another worker",
        82: "activity requests and children have a parentTraceContext",
        83: "the orchestrationTraceContext is returned with each turn",
        84: "more than 4 MB of history: streamed, or a clear failure",
        85: "requiresHistory and requiresState: the work item is sent again in full",
        86: "Dapr: stateful history sends new events only; GetInstanceHistory returns all",
    },
    "Dialects": {
        87: "the dialect is detected by the fields of GetWorkItems",
        88: "a Microsoft worker never receives field 30 (router)",
        89: "a Dapr worker receives router, taskExecutionId and version unchanged",
        90: "CompleteOrchestratorTask is decoded in the dialect of its token",
        91: "fields 4 and 5 of a purge and field 10 of CreateInstance are decoded by wire type",
        92: "Dapr's error texts",
    },
}

ITEMS: dict[int, str] = {
    number: text for items in SECTIONS.values() for number, text in items.items()
}

_DAPR = "Dapr's dialect: see tests/sidecar/service/test_dapr_*.py"

NOT_BUILT: dict[int, str] = dict.fromkeys((7, *range(86, 93)), _DAPR)
"""Items without tests, and why."""

HALF_BUILT: dict[int, str] = {62: _DAPR}
"""Items of which the contract tests cover a part, and where the rest is tested."""
