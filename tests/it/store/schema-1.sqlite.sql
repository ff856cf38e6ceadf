-- Schema 1 with a little in it. Never to be changed once it is released.
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'first','2026-11-30 10:45:14',1,X'ed2a6681267bb1a7228cc15261f30a97d198ff4d191da82c3aa5fc7e6e0f0c3b5e7519d562f225fa7258d3151c0ce2a9',11160471);
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);
CREATE TABLE objects (
    digest BLOB NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    content BLOB NOT NULL
);
INSERT INTO objects VALUES(X'7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed',1796035514693433,X'6f6e65');
INSERT INTO objects VALUES(X'3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3',1796035514697126,X'74776f');
CREATE TABLE environments (
    name TEXT NOT NULL PRIMARY KEY,
    active BIGINT,
    last BIGINT NOT NULL
);
INSERT INTO environments VALUES('live',2,2);
CREATE TABLE generations (
    environment TEXT NOT NULL REFERENCES environments (name),
    number BIGINT NOT NULL,
    digest BLOB NOT NULL,
    revisions TEXT NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    activated_at BIGINT NOT NULL,
    plan_digest BLOB,
    summary TEXT NOT NULL,
    PRIMARY KEY (environment, number)
);
INSERT INTO generations VALUES('live',1,X'7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed','{"main":"revision of one"}','Source','reconciler',1796035514695535,X'64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"created":1}');
INSERT INTO generations VALUES('live',2,X'3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3','{"main":"revision of two"}','Source','reconciler',1796035514698229,X'64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"created":1}');
CREATE TABLE tombstones (
    environment TEXT NOT NULL REFERENCES environments (name),
    id TEXT NOT NULL,
    item TEXT NOT NULL,
    generation BIGINT NOT NULL,
    removed_at BIGINT NOT NULL,
    retention BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (environment, id)
);
INSERT INTO tombstones VALUES('live','Connector/orbit','{"a":1}',0,1796035514695535,9223372036854775807,9223372036854775807);
CREATE TABLE states (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, name)
);
INSERT INTO states VALUES('live','status',1,'{"ready":true}');
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT,
    token BIGINT NOT NULL,
    expires_at BIGINT
);
INSERT INTO leases VALUES('live','a process',1,1796035514704885);
CREATE TABLE audits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    environment TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    details TEXT NOT NULL
);
INSERT INTO audits VALUES(1,'live',1796035514695535,'reconciler','Source','{"generation":1,"digest":"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of one"}}');
INSERT INTO audits VALUES(2,'live',1796035514698229,'reconciler','Source','{"generation":2,"digest":"sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of two"}}');
INSERT INTO audits VALUES(3,'live',1796035514706905,'me','Suspend','{}');
CREATE TABLE credentials (
    environment TEXT NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    PRIMARY KEY (environment, tenant, name)
);
INSERT INTO credentials VALUES('live','acme','token','dumps',X'89e3d592c3d6bb8d45e86e5d0f8fd47d3666069a38c62cd3806cd4185eb84a523b146ff1fcef32c5b2454e39259e9b294e663f389a2e8ef6bf7cdaa198ed697f95e9b5d6324dcf2d',X'2760925f7a71663883d079e5cbb1b0320a5ace6ec55479ffac02300c678d2c1458f77eac1eac57b8622cb7b302f061');
CREATE TABLE replicas (
    environment TEXT NOT NULL,
    replica TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest BLOB NOT NULL,
    reported_at BIGINT NOT NULL,
    PRIMARY KEY (environment, replica)
);
CREATE TABLE workflow_versions (
    environment TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version BIGINT NOT NULL,
    digest BLOB NOT NULL,
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
    request TEXT,
    trace TEXT,
    headers TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE TABLE event_keys (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    key TEXT NOT NULL,
    event TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (environment, trigger_name, key)
);
CREATE TABLE executions (
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
    event TEXT,
    parent TEXT,
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
CREATE TABLE execution_payloads (
    execution TEXT NOT NULL PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
    headers TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT,
    error TEXT
);
CREATE TABLE execution_steps (
    execution TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    error TEXT,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (execution, name)
);
CREATE TABLE execution_logs (
    execution TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (execution, id)
);
CREATE TABLE execution_signals (
    execution TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (execution, name)
);
CREATE TABLE dead_letters (
    id TEXT NOT NULL PRIMARY KEY,
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
    headers TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE TABLE workflow_state (
    environment TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    expires_at BIGINT,
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
    last_at BIGINT,
    error TEXT,
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
CREATE TABLE allowances (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    usage TEXT NOT NULL,
    PRIMARY KEY (environment, name)
);
CREATE TABLE polls (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    version BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection)
);
CREATE TABLE poll_records (
    environment TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    connection TEXT NOT NULL,
    id TEXT NOT NULL,
    hash TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (environment, trigger_name, connection, id),
    FOREIGN KEY (environment, trigger_name, connection) REFERENCES polls (environment, trigger_name, connection) ON DELETE CASCADE
);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('audits',3);
CREATE INDEX generations_by_age ON generations (environment, activated_at);
CREATE INDEX tombstones_expiry ON tombstones (environment, expires_at);
CREATE INDEX audits_of_environment ON audits (environment, id);
CREATE INDEX replicas_by_age ON replicas (environment, reported_at);
CREATE INDEX events_of_environment ON events (environment, received_at, id);
CREATE INDEX event_keys_expiry ON event_keys (environment, expires_at);
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
CREATE INDEX dead_letters_of_environment ON dead_letters (environment, created_at, id);
CREATE INDEX dead_letters_pending ON dead_letters (environment, expires_at) WHERE status = 'Pending';
CREATE INDEX dead_letters_deletion ON dead_letters (environment, delete_at);
CREATE INDEX workflow_state_expiry ON workflow_state (environment, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX allowances_expiry ON allowances (environment, expires_at);
COMMIT;
