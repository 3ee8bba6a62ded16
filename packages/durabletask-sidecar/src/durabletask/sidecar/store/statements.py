"""The SQL of the SQLite store, apart from the code that runs it."""

from __future__ import annotations

from durabletask.sidecar.engine.state import TERMINAL_STATUSES

LOAD_ORIGIN = """
    SELECT execution_id, name, created_at, input, version, tags, scheduled_start,
           parent_id, parent, trace_context
    FROM origins WHERE hub = ? AND instance_id = ?
"""

LOAD_PROGRESS = """
    SELECT status, updated_at, completed_at, output, custom_status, failure, trace_context,
           history_length, turn_at, rows_made, suspended_at, suspend_reason
    FROM progress WHERE hub = ? AND instance_id = ?
"""

LOAD_INBOX = """
    SELECT number, kind, visible_at, event, timer_id
    FROM inbox WHERE hub = ? AND instance_id = ? ORDER BY number
"""

LOAD_TASKS = """
    SELECT number, task_id, execution_id, name, version, request
    FROM tasks WHERE hub = ? AND instance_id = ? ORDER BY number
"""

LOAD_CHILDREN = "SELECT task_id, child_id FROM children WHERE hub = ? AND instance_id = ?"

LOAD_HISTORY = """
    SELECT events FROM history WHERE hub = ? AND instance_id = ? ORDER BY first_event
"""

LIVE_CHILDREN = f"""
    SELECT origins.instance_id
    FROM origins JOIN progress USING (hub, instance_id)
    WHERE origins.hub = ? AND origins.parent_id = ? AND progress.status NOT IN {TERMINAL_STATUSES}
"""  # noqa: S608 - a constant of ours

DUE = """
    SELECT hub, instance_id, name, version
    FROM progress JOIN origins USING (hub, instance_id)
    WHERE due_at > ? AND due_at <= ? ORDER BY due_at
"""

NEXT_DUE = "SELECT min(due_at) FROM progress WHERE due_at > ?"

OUTSTANDING_TASKS = """
    SELECT hub, instance_id, number, task_id, execution_id, name, version, request
    FROM tasks ORDER BY hub, instance_id, number
"""

WRITE_ORIGIN = """
    INSERT OR REPLACE INTO origins (hub, instance_id, execution_id, name, created_at, input,
        version, tags, scheduled_start, parent_id, parent, trace_context)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

WRITE_PROGRESS = """
    INSERT OR REPLACE INTO progress (hub, instance_id, status, updated_at, completed_at, output,
        custom_status, failure, trace_context, history_length, turn_at, rows_made, suspended_at,
        suspend_reason, due_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

WRITE_HISTORY = """
    INSERT INTO history (hub, instance_id, first_event, events) VALUES (?, ?, ?, ?)
"""

WRITE_INBOX = """
    INSERT INTO inbox (hub, instance_id, number, kind, visible_at, event, timer_id)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""

WRITE_TASK = """
    INSERT INTO tasks (hub, instance_id, number, task_id, execution_id, name, version, request)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

WRITE_CHILD = """
    INSERT INTO children (hub, instance_id, task_id, child_id) VALUES (?, ?, ?, ?)
"""

REMOVE_INBOX = "DELETE FROM inbox WHERE hub = ? AND instance_id = ? AND number = ?"
REMOVE_TASK = "DELETE FROM tasks WHERE hub = ? AND instance_id = ? AND number = ?"
REMOVE_CHILD = "DELETE FROM children WHERE hub = ? AND instance_id = ? AND task_id = ?"

BEGIN_EXECUTION = (
    "DELETE FROM history WHERE hub = ? AND instance_id = ?",
    "DELETE FROM tasks WHERE hub = ? AND instance_id = ?",
    "DELETE FROM children WHERE hub = ? AND instance_id = ?",
)
