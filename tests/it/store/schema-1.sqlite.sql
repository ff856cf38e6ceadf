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
INSERT INTO _sqlx_migrations VALUES(1,'first','2026-11-21 09:28:25',1,X'1554fb5239b2e18684aa9e5c55dcc78cc0d5f1dcf8847568bbf0099c840e0583c9d31d7dfe67c178c8cdb4cf76f0f327',1337553);
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);
CREATE TABLE objects (
    digest BLOB NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    content BLOB NOT NULL
);
INSERT INTO objects VALUES(X'7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed',1795253305894409,X'6f6e65');
INSERT INTO objects VALUES(X'3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3',1795253305896509,X'74776f');
CREATE TABLE environments (
    name TEXT NOT NULL PRIMARY KEY,
    active BIGINT NOT NULL,
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
INSERT INTO generations VALUES('live',1,X'7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed','{"main":"revision of one"}','Source','reconciler',1795253305895536,X'64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"created":1}');
INSERT INTO generations VALUES('live',2,X'3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3','{"main":"revision of two"}','Source','reconciler',1795253305897257,X'64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"created":1}');
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
INSERT INTO tombstones VALUES('live','Connector/orbit','{"a":1}',0,1795253305895536,9223372036854775807,9223372036854775807);
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
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
INSERT INTO leases VALUES('live','a process',1,1795253365898599);
CREATE TABLE audits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    environment TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    details TEXT NOT NULL
);
INSERT INTO audits VALUES(1,'live',1795253305895536,'reconciler','Source','{"generation":1,"digest":"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of one"}}');
INSERT INTO audits VALUES(2,'live',1795253305897257,'reconciler','Source','{"generation":2,"digest":"sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of two"}}');
INSERT INTO audits VALUES(3,'live',1795253305899976,'me','Suspend','{}');
CREATE TABLE credentials (
    environment TEXT NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (environment, tenant, name)
);
INSERT INTO credentials VALUES('live','acme','token','dumps',X'32a8589f4928cec8fa58328518dfcdbcd24a208b02fc373c34f40bd7a2b8d943a87c2093f77bba56c62a4ba7745231fe1557886e623e652835428c613bfd05f69bd657f148048c2c',X'99b5723f3cc83ac95b0629ccec1e7d63412654eb77afacb4cb19af4f3209ab74e7defed594495cf1999ef9bb70ebb7');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('audits',3);
CREATE INDEX audits_of_environment ON audits (environment, id);
COMMIT;
