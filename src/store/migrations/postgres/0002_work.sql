-- Executions of workflows, what starts them, and what triggers remember. As before: times are microseconds since 1970,
-- UTC; JSON is text. Text is empty where there is nothing.

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

CREATE TABLE events (
    id TEXT NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    request TEXT NOT NULL,
    trace TEXT NOT NULL,
    headers TEXT NOT NULL,
    payload TEXT NOT NULL
);

CREATE INDEX events_of_environment ON events (environment, received_at);

CREATE TABLE event_keys (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    key TEXT NOT NULL,
    event TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (environment, trigger_name, key)
);

CREATE INDEX event_keys_expiry ON event_keys (expires_at);

-- `ready_at` is NULL where it ended; see `store/queue.rs`.
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
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
    event TEXT NOT NULL,
    parent TEXT NOT NULL,
    answers TEXT NOT NULL,
    lane TEXT NOT NULL,
    gate TEXT NOT NULL,
    gate_limit BIGINT NOT NULL,
    batch TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    deadline_at BIGINT NOT NULL,
    ready_at BIGINT,
    worker TEXT NOT NULL,
    token BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    trace TEXT NOT NULL,
    headers TEXT NOT NULL,
    error TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL
);

CREATE INDEX runs_ready ON runs (environment, priority, tenant, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX runs_due ON runs (environment, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX runs_in_lane ON runs (environment, lane, created_at, id) WHERE ready_at IS NOT NULL AND lane <> '';
CREATE INDEX runs_at_gate ON runs (environment, gate, created_at, id) WHERE ready_at IS NOT NULL AND gate <> '';
CREATE INDEX runs_of_batch ON runs (environment, batch) WHERE ready_at IS NOT NULL AND batch <> '';
CREATE INDEX runs_of_environment ON runs (environment, created_at, id);
CREATE INDEX runs_finished ON runs (environment, finished_at) WHERE finished_at > 0;

CREATE TABLE steps (
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    error TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (run, name)
);

CREATE TABLE run_logs (
    run TEXT NOT NULL,
    id TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run, id)
);

CREATE TABLE signals (
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (run, name)
);

CREATE TABLE dead_letters (
    id TEXT NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    workflow TEXT NOT NULL,
    event TEXT NOT NULL,
    run TEXT NOT NULL,
    tenant TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    status TEXT NOT NULL,
    replays BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    kept_for BIGINT NOT NULL,
    kept_until BIGINT NOT NULL,
    headers TEXT NOT NULL,
    payload TEXT NOT NULL
);

CREATE INDEX dead_letters_of_environment ON dead_letters (environment, created_at);

CREATE TABLE memories (
    environment TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, scope, name)
);

CREATE TABLE schedules (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    fired BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    late BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    shape TEXT NOT NULL,
    PRIMARY KEY (environment, trigger_name)
);

CREATE TABLE subscriptions (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection)
);

CREATE TABLE polls (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    version BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection)
);

CREATE TABLE records (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    id TEXT NOT NULL,
    hash TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection, id)
);
