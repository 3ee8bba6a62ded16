-- Instances, their history, and everything that waits: rows of one task hub begin with it.
-- Times are microseconds since 1970 in UTC.

CREATE TABLE origins (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    execution_id    TEXT NOT NULL,
    name            TEXT NOT NULL,
    version         TEXT,
    input           TEXT,
    tags            TEXT NOT NULL,      -- a JSON object
    created_at      INTEGER NOT NULL,
    scheduled_start INTEGER,
    parent_id       TEXT,
    parent          TEXT,               -- the whole link to it, a JSON object
    trace_context   BLOB,
    PRIMARY KEY (hub, instance_id)
) WITHOUT ROWID;

CREATE INDEX origins_by_parent ON origins (hub, parent_id) WHERE parent_id IS NOT NULL;

-- Apart from the origins, because every turn rewrites a row here and the input may be large.
CREATE TABLE progress (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    status          INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    completed_at    INTEGER,
    due_at          INTEGER,            -- when an orchestrator has something to do
    output          TEXT,
    custom_status   TEXT,
    failure         BLOB,
    trace_context   BLOB,
    history_length  INTEGER NOT NULL,
    turn_at         INTEGER,
    rows_made       INTEGER NOT NULL,
    suspended_at    INTEGER,
    suspend_reason  TEXT,
    PRIMARY KEY (hub, instance_id)
) WITHOUT ROWID;

CREATE INDEX progress_by_due_time ON progress (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX progress_by_completion ON progress (hub, completed_at)
    WHERE completed_at IS NOT NULL;

-- One row for the events of one commit, in the form in which a work item holds them.
CREATE TABLE history (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    first_event     INTEGER NOT NULL,   -- its position in the history
    events          BLOB NOT NULL,
    PRIMARY KEY (hub, instance_id, first_event)
) WITHOUT ROWID;

CREATE TABLE inbox (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    number          INTEGER NOT NULL,
    kind            INTEGER NOT NULL,
    visible_at      INTEGER NOT NULL,
    event           BLOB NOT NULL,
    timer_id        INTEGER,
    PRIMARY KEY (hub, instance_id, number)
) WITHOUT ROWID;

CREATE TABLE tasks (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    number          INTEGER NOT NULL,
    task_id         INTEGER NOT NULL,
    execution_id    TEXT NOT NULL,
    name            TEXT NOT NULL,
    version         TEXT,
    request         BLOB NOT NULL,
    PRIMARY KEY (hub, instance_id, number)
) WITHOUT ROWID;

CREATE TABLE children (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    task_id         INTEGER NOT NULL,
    child_id        TEXT NOT NULL,
    PRIMARY KEY (hub, instance_id, task_id)
) WITHOUT ROWID;
