"""The conformance checklist: what every engine of the protocol must be able to show.

Engine-neutral, in words short enough for a table. Each item is proved by tests that carry its
number, or stands below with the reason why it is not.
"""

from __future__ import annotations

SECTIONS: dict[str, dict[int, str]] = {
    "Starting, and ids": {
        1: "an empty id is generated",
        2: "an empty name is INVALID_ARGUMENT",
        3: "a duplicate is ALREADY_EXISTS",
        4: "replaceableStatus replaces what is over, then what lives; "
        "an old activity result does not reach the new execution",
        5: "a delayed start stays PENDING and starts on time after a restart",
        6: "version, tags, execution id and parent are visible in the state",
        7: "Dapr: the id of what is over is reusable; enforceUniqueInstanceId is ALREADY_EXISTS",
        8: "start returns without any worker",
    },
    "State, and waits": {
        9: "what is missing has exists=false",
        10: "the payload flag",
        11: "100 concurrent waits do not block other calls",
        12: "a deadline is DEADLINE_EXCEEDED",
        13: "a waiter wakes within 50 ms of the commit",
        14: "null and empty payloads differ",
    },
    "Turns": {
        15: "newEvents[0] is OrchestratorStarted, and timestamps are monotone",
        16: "events raised during a turn are delivered in the next, in order",
        17: "1,000 events in order, in capped batches",
        18: "at most one turn of an instance is out",
        19: "the custom status is set and cleared",
        20: "an unknown action fails the instance, once",
        21: "an action that is emitted again is ignored",
        22: "a retry with the same id works, and so does a late result of attempt 1",
        23: "gaps and duplicates among ids are tolerated",
    },
    "Leases": {
        24: "the work of a dropped stream goes to a second worker within 1 s, of all three kinds",
        25: "a stale token is OK and has no effect",
        26: "a completion after its own stream has ended",
        27: "an empty token is accepted when it is unambiguous",
        28: "abandoned work of all three kinds comes back, with back-off",
        29: "kill -9 at each commit point: no history lost or doubled",
        30: "an activity of 10 minutes on a live stream runs once",
        31: "concurrency maxima are respected",
        32: "filters, the empty category and versions among them",
        33: "a HealthPing every 30 s at least",
        34: "a drain ends streams cleanly",
        35: "a response in parts (isPartial) is put together",
    },
    "Suspend, resume, terminate": {
        36: "resume of what runs is a no-op",
        37: "suspend twice and resume once: it runs",
        38: "an activity that completes while suspended runs exactly once",
        39: "timers that are due while suspended fire at resume",
        40: "terminate while suspended is TERMINATED",
        41: "suspend of what is PENDING",
        42: "terminate with no worker",
        43: "terminate against continue-as-new is TERMINATED",
        44: "recursive terminate over 3 levels, children of an older generation included",
        45: "the output of what was terminated is what the call said",
    },
    "Continue-as-new": {
        46: "carried events in order, then those of the inbox",
        47: "signals, events and unlocks of that turn are delivered",
        48: "activity, timer and other results of the old generation are dropped",
        49: "10,000 generations, bounded history, no limit on the loop",
        50: "tags, version or newVersion, and parent are kept; "
        "a child that continues as new reports to its parent",
    },
    "Sub-orchestrations": {
        51: "the format of generated ids",
        52: "failure details are intact: type, inner failure, nonRetriable, properties",
        53: "a terminated child is Failed, with details",
        54: "an id in use: Failed when it lives, replaced when it is over",
        55: "the parent is purged or replaced before the child ends: the message is dropped",
        56: "a child that runs for 60 s",
    },
    "Events": {
        57: "sendEvent arrives as EventRaised",
        58: "sendEvent to a missing id is no failure",
        59: "names keep their case, so that workers can compare without it",
        60: "an event for what is over changes nothing",
        61: "a timer of the far future (year 9999)",
    },
    "Purge, query": {
        62: "purge of what lives: 0 (Dapr: FAILED_PRECONDITION)",
        63: "the interval of a filter is half open",
        64: "recursive purge with a missing child",
        65: "a timeout: isComplete=false",
        66: "pages are stable while instances are added; no token is '0'",
        67: "the order of ListInstanceIds",
    },
    "Restart, rewind": {
        68: "restart with the same and with a new id; tags are kept",
        69: "rewind: simple, nested child, purged child, leftover events in the inbox",
        70: "rewind of what is COMPLETED is FAILED_PRECONDITION",
    },
    "Entities": {
        71: "first in, first out",
        72: "a lock excludes others while it is held, and its holder bypasses the queue",
        73: "two orchestrations that lock {A, B} and {B, A} never deadlock",
        74: "a lock is released on complete, fail, terminate, continue-as-new, purge "
        "and the crash of a worker",
        75: "batches of version 1 and version 2",
        76: "fewer results than operations: the rest is sent again",
        77: "delayed signals",
        78: "an entity starts an orchestration",
        79: "an answer is never sent twice",
        80: "empty entities are cleaned; orphaned locks are released for dead holders only",
    },
    "Versioning, traces, limits": {
        81: "REJECT: the turn goes to another worker",
        82: "parentTraceContext on ActivityRequest and child",
        83: "orchestrationTraceContext is echoed",
        84: "more than 4 MB of history: streamed, or a clear failure",
        85: "requiresHistory and requiresState: sent again in full",
        86: "Dapr: stateful history as a delta, GetInstanceHistory as the fallback",
    },
    "Dialects": {
        87: "detection by the fields of GetWorkItems",
        88: "a Microsoft worker never receives field 30, router",
        89: "a Dapr worker gets router, taskExecutionId and version preserved",
        90: "CompleteOrchestratorTask is decoded in the dialect of its token",
        91: "Purge 4 and 5 and CreateInstance 10 are decoded by wire type",
        92: "Dapr's error texts",
    },
}

ITEMS: dict[int, str] = {
    number: text for items in SECTIONS.values() for number, text in items.items()
}

_DAPR = "Dapr dialect: see tests/sidecar/test_dapr_*.py"

NOT_BUILT: dict[int, str] = dict.fromkeys((7, *range(86, 93)), _DAPR)
"""Items without tests, and why."""

HALF_BUILT: dict[int, str] = {62: _DAPR}
"""Items whose tests show a part, and what the other part waits for."""
