-- The schema of both databases, written for PostgreSQL. `store/migrations.rs` derives SQLite's from it by replacing
-- types (BYTEA, JSON, JSONB, the identity column) and dropping COLLATE "C".
--
-- Times are microseconds since 1970, UTC. Digests are the 32 bytes of a SHA-256.
--
-- NULL means absence. A column of a key or of a grouping cannot be NULL: there, an empty text means absence (`tenant` of
-- credentials and executions, `connection`).
--
-- JSON and JSONB: JSON keeps the order of fields and the digits of numbers, and accepts zero characters. JSONB sorts
-- fields, normalises numbers and refuses zero characters (\u0000). So payloads (inputs, outputs, headers, events, workflow
-- state), documents with texts of applications (subscriptions, pollers) and documents that the API returns as they were
-- written are JSON. JSONB holds only documents whose fields Evenkeel itself writes and reads by name.
--
-- COLLATE "C" sorts ids by bytes in a database of any language: prefix searches then use the primary key.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- The content stands last, so that scans of the other columns need not read it. A sweep reads all digests anyway: an
-- index of `created_at` would only slow down writes.
CREATE TABLE objects (
    digest BYTEA NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    content BYTEA NOT NULL
);

-- `active` is NULL if nothing is; `last` is the highest number ever given.
CREATE TABLE environments (
    name TEXT NOT NULL PRIMARY KEY,
    active BIGINT,
    last BIGINT NOT NULL
);

CREATE TABLE generations (
    environment TEXT NOT NULL REFERENCES environments (name),
    number BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    revisions JSONB NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    activated_at BIGINT NOT NULL,
    plan_digest BYTEA,
    summary JSON NOT NULL,
    PRIMARY KEY (environment, number)
);

CREATE INDEX generations_by_age ON generations (environment, activated_at);

CREATE TABLE tombstones (
    environment TEXT NOT NULL REFERENCES environments (name),
    id TEXT NOT NULL,
    item JSON NOT NULL,
    generation BIGINT NOT NULL,
    removed_at BIGINT NOT NULL,
    retention BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (environment, id)
);

CREATE INDEX tombstones_expiry ON tombstones (environment, expires_at);

-- `version` counts the writes: the sum of all versions tells whether anything was written.
CREATE TABLE states (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    value JSON NOT NULL,
    PRIMARY KEY (environment, name)
);

-- A released lease has no holder. Its row stays, because tokens only grow.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT,
    token BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE TABLE audits (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    details JSON NOT NULL
);

CREATE INDEX audits_of_environment ON audits (environment, id);

CREATE TABLE credentials (
    environment TEXT NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped_key BYTEA NOT NULL,
    ciphertext BYTEA NOT NULL,
    PRIMARY KEY (environment, tenant, name)
);

-- The generation that each process serves. On SQLite the only process keeps it in memory.
CREATE TABLE replicas (
    environment TEXT NOT NULL,
    replica TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    reported_at BIGINT NOT NULL,
    PRIMARY KEY (environment, replica)
);

CREATE INDEX replicas_by_age ON replicas (environment, reported_at);

CREATE TABLE workflow_versions (
    environment TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (environment, workflow, version)
);

-- Headers and payload stand last: lists do not read them.
CREATE TABLE events (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    request TEXT,
    trace TEXT,
    headers JSON NOT NULL,
    payload JSON NOT NULL
);

CREATE INDEX events_of_environment ON events (environment, received_at, id);

-- A key outlives or precedes its event, so it does not reference it.
CREATE TABLE event_keys (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    key TEXT NOT NULL,
    event TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (environment, trigger_name, key)
);

CREATE INDEX event_keys_expiry ON event_keys (environment, expires_at);

-- The queue: one narrow row for each execution, rewritten by each claim, renewal and release. Payloads are in
-- `execution_payloads`.
--
-- An open execution (`finished_at` is NULL) has one of these, or none while only a signal can wake it:
--   ready_since       it can be claimed, since then
--   wake_at           it becomes ready then (delayed, retried, sleeping, or at the end of a wait for a signal)
--   lease_expires_at  a worker holds it until then
--   is_blocked        its ordering key or concurrency group is in use
-- A claim first makes due executions ready, and then reads `executions_ready` only: executions that merely wait cost
-- nothing.
-- An execution whose lease expired keeps the status `Running` until it is claimed or renewed.
--
-- `event` and `parent` do not reference rows: events and parents are deleted on their own.
CREATE TABLE executions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    tier TEXT NOT NULL,
    priority BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    status TEXT NOT NULL,
    triggered_by TEXT NOT NULL,
    source TEXT NOT NULL,
    event TEXT,
    parent TEXT COLLATE "C",
    parent_signal TEXT,
    ordering_key TEXT,
    concurrency_group TEXT,
    concurrency_limit BIGINT,
    batch_key TEXT,
    attempt BIGINT NOT NULL,
    lease_expirations BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    deadline_at BIGINT,
    ready_since BIGINT,
    wake_at BIGINT,
    lease_expires_at BIGINT,
    is_blocked BOOLEAN NOT NULL,
    worker TEXT,
    token BIGINT NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    trace TEXT,
    error_message TEXT
);

CREATE INDEX executions_ready ON executions (environment, priority, tenant, ready_since) WHERE ready_since IS NOT NULL;
CREATE INDEX executions_waking ON executions (environment, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX executions_leased ON executions (environment, lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX executions_blocked ON executions (environment, created_at, id) WHERE is_blocked;
CREATE INDEX executions_of_ordering_key ON executions (environment, ordering_key, created_at, id) WHERE finished_at IS NULL AND ordering_key IS NOT NULL;
CREATE INDEX executions_of_concurrency_group ON executions (environment, concurrency_group, created_at, id) WHERE finished_at IS NULL AND concurrency_group IS NOT NULL;
CREATE INDEX executions_of_batch ON executions (environment, batch_key) WHERE started_at IS NULL AND finished_at IS NULL AND batch_key IS NOT NULL;
CREATE INDEX executions_open ON executions (environment, source) WHERE finished_at IS NULL;
CREATE INDEX executions_of_environment ON executions (environment, created_at, id);
CREATE INDEX executions_finished ON executions (environment, finished_at) WHERE finished_at IS NOT NULL;

-- The payloads of an execution: read by its worker and when it is shown, never by lists.
CREATE TABLE execution_payloads (
    execution TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
    headers JSON NOT NULL,
    input JSON NOT NULL,
    output JSON,
    error JSON
);

CREATE TABLE execution_steps (
    execution TEXT COLLATE "C" NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    error JSON,
    input JSON NOT NULL,
    output JSON NOT NULL,
    PRIMARY KEY (execution, name)
);

-- `id` sorts by time: time, token of the claim and a count, see `store/backend/queue/logs.rs`.
CREATE TABLE execution_logs (
    execution TEXT COLLATE "C" NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    id TEXT COLLATE "C" NOT NULL,
    written_at BIGINT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (execution, id)
);

-- `name` is the name of the step that waits for the signal.
CREATE TABLE execution_signals (
    execution TEXT COLLATE "C" NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    payload JSON NOT NULL,
    PRIMARY KEY (execution, name)
);

-- Pending until `expires_at`, deleted after `delete_at`. Outlives its event and its execution, so it references neither.
CREATE TABLE dead_letters (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    trigger_name TEXT,
    workflow TEXT,
    event TEXT,
    execution TEXT,
    tenant TEXT,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    status TEXT NOT NULL,
    replays BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    retention BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    delete_at BIGINT NOT NULL,
    headers JSON NOT NULL,
    payload JSON NOT NULL
);

CREATE INDEX dead_letters_of_environment ON dead_letters (environment, created_at, id);
CREATE INDEX dead_letters_pending ON dead_letters (environment, expires_at) WHERE status = 'Pending';
CREATE INDEX dead_letters_deletion ON dead_letters (environment, delete_at);

CREATE TABLE workflow_state (
    environment TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    expires_at BIGINT,
    value JSON NOT NULL,
    PRIMARY KEY (environment, scope, name)
);

CREATE INDEX workflow_state_expiry ON workflow_state (environment, expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE schedules (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    fired BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    late BIGINT NOT NULL,
    last_at BIGINT,
    error TEXT,
    shape TEXT NOT NULL,
    PRIMARY KEY (environment, trigger_name)
);

CREATE TABLE subscriptions (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    value JSON NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection)
);

-- The units of rate limits and quotas that are in use: a list of [end of use, units]. `expires_at` is the last of the ends.
CREATE TABLE allowances (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    usage JSON NOT NULL,
    PRIMARY KEY (environment, name)
);

CREATE INDEX allowances_expiry ON allowances (environment, expires_at);

-- `value` holds the application's cursor, which is returned to it as it was.
CREATE TABLE polls (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    version BIGINT NOT NULL,
    value JSON NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection)
);

CREATE TABLE poll_records (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    id TEXT NOT NULL,
    hash TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    fields JSON NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection, id),
    FOREIGN KEY (environment, trigger_name, connection) REFERENCES polls (environment, trigger_name, connection) ON DELETE CASCADE
);
