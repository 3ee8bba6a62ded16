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

CREATE INDEX origins_by_creation ON origins (hub, created_at);
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
    answers         TEXT,               -- what it answers, which is not asked for twice
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

-- Operations of entities that an orchestration waits for.
CREATE TABLE calls (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    entity_id       TEXT NOT NULL,
    PRIMARY KEY (hub, instance_id, request_id)
) WITHOUT ROWID;

-- Critical sections that an orchestration asked for and has not left.
CREATE TABLE locks (
    hub             TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    section_id      TEXT NOT NULL,
    lock_set        TEXT NOT NULL,      -- a JSON array of the ids of entities
    is_granted      INTEGER NOT NULL,
    PRIMARY KEY (hub, instance_id, section_id)
) WITHOUT ROWID;

CREATE TABLE entities (
    hub             TEXT NOT NULL,
    entity_id       TEXT NOT NULL,
    execution_id    TEXT NOT NULL,
    modified_at     INTEGER NOT NULL,
    state           TEXT,
    holder_id       TEXT,               -- the orchestration that has it locked
    section_id      TEXT,
    rows_made       INTEGER NOT NULL,
    due_at          INTEGER,            -- when there is an operation to run
    PRIMARY KEY (hub, entity_id)
) WITHOUT ROWID;

CREATE INDEX entities_by_due_time ON entities (due_at) WHERE due_at IS NOT NULL;

-- What waits for an entity.
CREATE TABLE entity_queue (
    hub             TEXT NOT NULL,
    entity_id       TEXT NOT NULL,
    number          INTEGER NOT NULL,
    kind            INTEGER NOT NULL,
    visible_at      INTEGER NOT NULL,
    request_id      TEXT NOT NULL,
    event           BLOB NOT NULL,
    caller_id       TEXT,               -- the orchestration that waits for an answer
    caller_execution_id TEXT,
    PRIMARY KEY (hub, entity_id, number)
) WITHOUT ROWID;
