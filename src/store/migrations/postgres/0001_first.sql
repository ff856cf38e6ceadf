-- Times are microseconds since 1970, UTC. Digests are the 32 bytes of a SHA-256. JSON is text.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- The content stands last, so that scans of the other columns need not read it.
CREATE TABLE objects (
    digest BYTEA NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    content BYTEA NOT NULL
);

-- `active` is 0 where nothing is; `last` is the highest number ever given.
CREATE TABLE environments (
    name TEXT NOT NULL PRIMARY KEY,
    active BIGINT NOT NULL,
    last BIGINT NOT NULL
);

CREATE TABLE generations (
    environment TEXT NOT NULL REFERENCES environments (name),
    number BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    revisions TEXT NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    activated_at BIGINT NOT NULL,
    plan_digest BYTEA,
    summary TEXT NOT NULL,
    PRIMARY KEY (environment, number)
);

CREATE TABLE tombstones (
    environment TEXT NOT NULL REFERENCES environments (name),
    id TEXT NOT NULL,
    item TEXT NOT NULL,
    generation BIGINT NOT NULL,
    removed_at BIGINT NOT NULL,
    kept_for BIGINT NOT NULL,
    kept_until BIGINT NOT NULL,
    PRIMARY KEY (environment, id)
);

-- `version` counts the writes, so that their sum tells whether anything was written.
CREATE TABLE states (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, name)
);

-- A lease that was given back has no holder; its token stays, because tokens only grow.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE audits (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    details TEXT NOT NULL
);

CREATE INDEX audits_of_environment ON audits (environment, id);

CREATE TABLE credentials (
    environment TEXT NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped_key BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (environment, tenant, name)
);

-- What each process serves. SQLite has one process only, which keeps it in memory.
CREATE TABLE replicas (
    environment TEXT NOT NULL,
    replica TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    heard_at BIGINT NOT NULL,
    PRIMARY KEY (environment, replica)
);
