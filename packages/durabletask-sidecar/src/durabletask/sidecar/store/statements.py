"""The SQL statements of the SQLite store; those of queries are built in `queries`."""

# ruff: noqa: S608 - statements are put together of constants; values are always parameters

from __future__ import annotations

from durabletask.sidecar.engine.state import TERMINAL_STATUSES

ORIGIN_COLUMNS = (
    "execution_id, name, created_at, input, version, tags, scheduled_start, "
    "parent_id, parent, trace_context"
)
PROGRESS_COLUMNS = (
    "status, updated_at, completed_at, output, custom_status, failure, trace_context, "
    "history_length, turn_at, rows_made, suspended_at, suspend_reason, history_bytes"
)
ENTITY_COLUMNS = "execution_id, modified_at, state, holder_id, section_id, rows_made"

LOAD_ORIGIN = f"SELECT {ORIGIN_COLUMNS} FROM origins WHERE hub = ? AND instance_id = ?"
LOAD_PROGRESS = f"SELECT {PROGRESS_COLUMNS} FROM progress WHERE hub = ? AND instance_id = ?"
LOAD_ENTITY = f"SELECT {ENTITY_COLUMNS} FROM entities WHERE hub = ? AND entity_id = ?"

LOAD_MESSAGES = """
    SELECT number, kind, visible_at, request_id, event, caller_id, caller_execution_id
    FROM entity_queue WHERE hub = ? AND entity_id = ? ORDER BY number
"""

LOAD_INBOX = """
    SELECT number, kind, visible_at, event, answers
    FROM inbox WHERE hub = ? AND instance_id = ? ORDER BY number
"""

LOAD_TASKS = """
    SELECT number, task_id, execution_id, name, version, request
    FROM tasks WHERE hub = ? AND instance_id = ? ORDER BY number
"""

LOAD_CHILDREN = "SELECT task_id, child_id FROM children WHERE hub = ? AND instance_id = ?"

LOAD_CALLS = "SELECT request_id, entity_id FROM calls WHERE hub = ? AND instance_id = ?"

LOAD_LOCKS = """
    SELECT section_id, lock_set, is_granted FROM locks WHERE hub = ? AND instance_id = ?
"""

LOAD_HISTORY = """
    SELECT events FROM history WHERE hub = ? AND instance_id = ? ORDER BY first_event
"""

LOAD_PIECES = """
    SELECT first_event, events FROM history
    WHERE hub = ? AND instance_id = ? ORDER BY first_event
"""

LOAD_DUE = "SELECT due_at FROM progress WHERE hub = ? AND instance_id = ?"
LOAD_ENTITY_DUE = "SELECT due_at FROM entities WHERE hub = ? AND entity_id = ?"

ALL_INSTANCES = "SELECT hub, instance_id FROM origins ORDER BY hub, instance_id"
ALL_ENTITIES = "SELECT hub, entity_id FROM entities ORDER BY hub, entity_id"

# Rows of instances, or of entities, that do not exist.
ORPHANS = tuple(
    (
        table,
        f"""
        SELECT DISTINCT hub, {name} FROM {table}
        WHERE NOT EXISTS (
            SELECT 1 FROM {owner} AS owner
            WHERE owner.hub = {table}.hub AND owner.{name} = {table}.{name}
        )
        """,
    )
    for table, owner, name in (
        ("origins", "progress", "instance_id"),
        ("progress", "origins", "instance_id"),
        ("history", "origins", "instance_id"),
        ("inbox", "origins", "instance_id"),
        ("tasks", "origins", "instance_id"),
        ("children", "origins", "instance_id"),
        ("calls", "origins", "instance_id"),
        ("locks", "origins", "instance_id"),
        ("entity_queue", "entities", "entity_id"),
    )
)

LIVE_CHILDREN = f"""
    SELECT origins.instance_id
    FROM origins JOIN progress USING (hub, instance_id)
    WHERE origins.hub = ? AND origins.parent_id = ? AND progress.status NOT IN {TERMINAL_STATUSES}
"""

CHILDREN = "SELECT instance_id FROM origins WHERE hub = ? AND parent_id = ?"

# Skips from one task hub to the next in the index, instead of reading every row.
HUBS = """
    WITH RECURSIVE found (hub) AS (
        SELECT min(hub) FROM origins
        UNION ALL
        SELECT (SELECT min(hub) FROM origins WHERE origins.hub > found.hub)
        FROM found WHERE found.hub IS NOT NULL
    )
    SELECT hub FROM found WHERE hub IS NOT NULL
"""

# An entity has no name column: the name is in its id.
DUE = """
    SELECT hub, instance_id, name, version, due_at
    FROM progress JOIN origins USING (hub, instance_id)
    WHERE due_at > ? AND due_at <= ?
    UNION ALL
    SELECT hub, entity_id, NULL, NULL, due_at
    FROM entities WHERE due_at > ? AND due_at <= ?
    ORDER BY due_at
"""

# Two minimums, since SQLite takes only a single min() from an index.
NEXT_DUE = """
    SELECT min(due_at) FROM (
        SELECT min(due_at) AS due_at FROM progress WHERE due_at > ?
        UNION ALL
        SELECT min(due_at) AS due_at FROM entities WHERE due_at > ?
    )
"""

# All minus those that have ended: both are in indexes, so no rows are read.
LIVE_COUNTS = """
    SELECT hub, all_of_them - coalesce(ended, 0)
    FROM (SELECT hub, count(*) AS all_of_them FROM origins GROUP BY hub)
    LEFT JOIN (
        SELECT hub, count(*) AS ended FROM progress WHERE completed_at IS NOT NULL GROUP BY hub
    ) USING (hub)
    WHERE all_of_them > coalesce(ended, 0)
"""

OUTSTANDING_TASKS = """
    SELECT hub, instance_id, number, task_id, execution_id, name, version
    FROM tasks ORDER BY hub, instance_id, number
"""

WRITE_ORIGIN = f"""
    INSERT OR REPLACE INTO origins (hub, instance_id, {ORIGIN_COLUMNS})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

WRITE_PROGRESS = f"""
    INSERT OR REPLACE INTO progress (hub, instance_id, {PROGRESS_COLUMNS}, due_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

WRITE_ENTITY = f"""
    INSERT OR REPLACE INTO entities (hub, entity_id, {ENTITY_COLUMNS}, due_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

WRITE_MESSAGE = """
    INSERT INTO entity_queue (hub, entity_id, number, kind, visible_at, request_id, event,
        caller_id, caller_execution_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

RELINK = "UPDATE origins SET parent_id = ?, parent = ? WHERE hub = ? AND instance_id = ?"

WRITE_HISTORY = """
    INSERT INTO history (hub, instance_id, first_event, events) VALUES (?, ?, ?, ?)
"""

WRITE_INBOX = """
    INSERT INTO inbox (hub, instance_id, number, kind, visible_at, event, answers)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""

WRITE_TASK = """
    INSERT INTO tasks (hub, instance_id, number, task_id, execution_id, name, version, request)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

WRITE_CHILD = """
    INSERT INTO children (hub, instance_id, task_id, child_id) VALUES (?, ?, ?, ?)
"""

WRITE_CALL = """
    INSERT INTO calls (hub, instance_id, request_id, entity_id) VALUES (?, ?, ?, ?)
"""

WRITE_LOCK = """
    INSERT OR REPLACE INTO locks (hub, instance_id, section_id, lock_set, is_granted)
    VALUES (?, ?, ?, ?, ?)
"""

REMOVE_INBOX = "DELETE FROM inbox WHERE hub = ? AND instance_id = ? AND number = ?"
REMOVE_TASK = "DELETE FROM tasks WHERE hub = ? AND instance_id = ? AND number = ?"
REMOVE_CHILD = "DELETE FROM children WHERE hub = ? AND instance_id = ? AND task_id = ?"

REMOVE_CALL = "DELETE FROM calls WHERE hub = ? AND instance_id = ? AND request_id = ?"
REMOVE_LOCK = "DELETE FROM locks WHERE hub = ? AND instance_id = ? AND section_id = ?"

BEGIN_EXECUTION = tuple(
    f"DELETE FROM {table} WHERE hub = ? AND instance_id = ?"
    for table in ("history", "tasks", "children", "calls", "locks")
)

REMOVE_INSTANCE = (
    *BEGIN_EXECUTION,
    "DELETE FROM inbox WHERE hub = ? AND instance_id = ?",
    "DELETE FROM origins WHERE hub = ? AND instance_id = ?",
    "DELETE FROM progress WHERE hub = ? AND instance_id = ?",
)

REMOVE_MESSAGE = "DELETE FROM entity_queue WHERE hub = ? AND entity_id = ? AND number = ?"

REMOVE_ENTITY = (
    "DELETE FROM entity_queue WHERE hub = ? AND entity_id = ?",
    "DELETE FROM entities WHERE hub = ? AND entity_id = ?",
)

WIPE = tuple(
    f"DELETE FROM {table} WHERE hub = ?"
    for table in (
        "origins",
        "progress",
        "history",
        "inbox",
        "tasks",
        "children",
        "calls",
        "locks",
        "entities",
        "entity_queue",
    )
)
