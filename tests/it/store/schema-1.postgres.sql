-- Schema 1 with a little in it. Never to be changed once it is released.
CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.allowances (
    environment text NOT NULL,
    name text NOT NULL,
    expires_at bigint NOT NULL,
    usage json NOT NULL
);
CREATE TABLE public.audits (
    id bigint NOT NULL,
    environment text NOT NULL,
    written_at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    details json NOT NULL
);
ALTER TABLE public.audits ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audits_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.credentials (
    environment text NOT NULL,
    tenant text NOT NULL,
    name text NOT NULL,
    key_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    ciphertext bytea NOT NULL
);
CREATE TABLE public.dead_letters (
    id text NOT NULL COLLATE pg_catalog."C",
    environment text NOT NULL,
    trigger_name text,
    workflow text,
    event text,
    execution text,
    tenant text,
    reason text NOT NULL,
    message text NOT NULL,
    status text NOT NULL,
    replays bigint NOT NULL,
    created_at bigint NOT NULL,
    retention bigint NOT NULL,
    expires_at bigint NOT NULL,
    delete_at bigint NOT NULL,
    headers json NOT NULL,
    payload json NOT NULL
);
CREATE TABLE public.environments (
    name text NOT NULL,
    active bigint,
    last bigint NOT NULL
);
CREATE TABLE public.event_keys (
    environment text NOT NULL,
    trigger_name text NOT NULL,
    key text NOT NULL,
    event text NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.events (
    id text NOT NULL COLLATE pg_catalog."C",
    environment text NOT NULL,
    trigger_name text NOT NULL,
    kind text NOT NULL,
    received_at bigint NOT NULL,
    outcome text NOT NULL,
    request text,
    trace text,
    headers json NOT NULL,
    payload json NOT NULL
);
CREATE TABLE public.execution_logs (
    execution text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    written_at bigint NOT NULL,
    level text NOT NULL,
    message text NOT NULL
);
CREATE TABLE public.execution_payloads (
    execution text NOT NULL COLLATE pg_catalog."C",
    headers json NOT NULL,
    input json NOT NULL,
    output json,
    error json
);
CREATE TABLE public.execution_signals (
    execution text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    payload json NOT NULL
);
CREATE TABLE public.execution_steps (
    execution text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    "position" bigint NOT NULL,
    kind text NOT NULL,
    attempt bigint NOT NULL,
    status text NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    error json,
    input json NOT NULL,
    output json NOT NULL
);
CREATE TABLE public.executions (
    id text NOT NULL COLLATE pg_catalog."C",
    environment text NOT NULL,
    workflow text NOT NULL,
    version bigint NOT NULL,
    generation bigint NOT NULL,
    tier text NOT NULL,
    priority bigint NOT NULL,
    tenant text NOT NULL,
    status text NOT NULL,
    triggered_by text NOT NULL,
    source text NOT NULL,
    event text,
    parent text COLLATE pg_catalog."C",
    parent_signal text,
    ordering_key text,
    concurrency_group text,
    concurrency_limit bigint,
    batch_key text,
    attempt bigint NOT NULL,
    lease_expirations bigint NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    deadline_at bigint,
    ready_since bigint,
    wake_at bigint,
    lease_expires_at bigint,
    is_blocked boolean NOT NULL,
    worker text,
    token bigint NOT NULL,
    cancel_requested boolean NOT NULL,
    trace text,
    error_message text
);
CREATE TABLE public.generations (
    environment text NOT NULL,
    number bigint NOT NULL,
    digest bytea NOT NULL,
    revisions jsonb NOT NULL,
    cause text NOT NULL,
    actor text NOT NULL,
    activated_at bigint NOT NULL,
    plan_digest bytea,
    summary json NOT NULL
);
CREATE TABLE public.leases (
    name text NOT NULL,
    holder text,
    token bigint NOT NULL,
    expires_at bigint
);
CREATE TABLE public.meta (
    name text NOT NULL,
    value bytea NOT NULL
);
CREATE TABLE public.objects (
    digest bytea NOT NULL,
    created_at bigint NOT NULL,
    content bytea NOT NULL
);
CREATE TABLE public.poll_records (
    environment text NOT NULL,
    trigger_name text NOT NULL,
    connection text NOT NULL,
    id text NOT NULL,
    hash text NOT NULL,
    seen_at bigint NOT NULL,
    fields json NOT NULL
);
CREATE TABLE public.polls (
    environment text NOT NULL,
    trigger_name text NOT NULL,
    connection text NOT NULL,
    version bigint NOT NULL,
    value json NOT NULL
);
CREATE TABLE public.replicas (
    environment text NOT NULL,
    replica text NOT NULL,
    number bigint NOT NULL,
    digest bytea NOT NULL,
    reported_at bigint NOT NULL
);
CREATE TABLE public.schedules (
    environment text NOT NULL,
    trigger_name text NOT NULL,
    until_at bigint NOT NULL,
    fired bigint NOT NULL,
    missed bigint NOT NULL,
    late bigint NOT NULL,
    last_at bigint,
    error text,
    shape text NOT NULL
);
CREATE TABLE public.states (
    environment text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL,
    value json NOT NULL
);
CREATE TABLE public.subscriptions (
    environment text NOT NULL,
    trigger_name text NOT NULL,
    connection text NOT NULL,
    value json NOT NULL
);
CREATE TABLE public.tombstones (
    environment text NOT NULL,
    id text NOT NULL,
    item json NOT NULL,
    generation bigint NOT NULL,
    removed_at bigint NOT NULL,
    retention bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.workflow_state (
    environment text NOT NULL,
    scope text NOT NULL,
    name text NOT NULL,
    expires_at bigint,
    value json NOT NULL
);
CREATE TABLE public.workflow_versions (
    environment text NOT NULL,
    workflow text NOT NULL,
    version bigint NOT NULL,
    digest bytea NOT NULL,
    generation bigint NOT NULL,
    created_at bigint NOT NULL,
    content text NOT NULL
);
INSERT INTO public._sqlx_migrations VALUES (1, 'first', '2026-11-30 10:45:16.580013+00', true, '\xad514c4b05e3e8b96b137cc7614e9c8276d4064515992eabe3acc3c0cda60238d4b364d78aa8d7791c03a18cc59976cd', 108883661);
INSERT INTO public.audits OVERRIDING SYSTEM VALUE VALUES (1, 'live', 1796035516974092, 'reconciler', 'Source', '{"generation":1,"digest":"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of one"}}');
INSERT INTO public.audits OVERRIDING SYSTEM VALUE VALUES (2, 'live', 1796035516982607, 'reconciler', 'Source', '{"generation":2,"digest":"sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of two"}}');
INSERT INTO public.audits OVERRIDING SYSTEM VALUE VALUES (3, 'live', 1796035517066794, 'me', 'Suspend', '{}');
INSERT INTO public.credentials VALUES ('live', 'acme', 'token', 'dumps', '\x2184c28ab55c00be141cb87914165f5654372bfda2e40c2f2935baee8aa919f619e0fe5e1880b3e4fe91fae6806c4a8382989f763fb2bffd6afef3440c1acee1f8e97db29dbb1ec3', '\x72b494e9809e93bf11d20cc441f47d4510aaec1719f9d0b919b6226e93fcf1b9d1a0318cf717d58a95e3f7770f02b5');
INSERT INTO public.environments VALUES ('live', 2, 2);
INSERT INTO public.generations VALUES ('live', 1, '\x7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '{"main": "revision of one"}', 'Source', 'reconciler', 1796035516974092, '\x64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525', '{"created":1}');
INSERT INTO public.generations VALUES ('live', 2, '\x3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', '{"main": "revision of two"}', 'Source', 'reconciler', 1796035516982607, '\x64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525', '{"created":1}');
INSERT INTO public.leases VALUES ('live', 'a process', 1, 1796035517059074);
INSERT INTO public.objects VALUES ('\x7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', 1796035516968275, '\x6f6e65');
INSERT INTO public.objects VALUES ('\x3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', 1796035516981012, '\x74776f');
INSERT INTO public.states VALUES ('live', 'status', 1, '{"ready":true}');
INSERT INTO public.tombstones VALUES ('live', 'Connector/orbit', '{"a":1}', 0, 1796035516974092, 9223372036854775807, 9223372036854775807);
SELECT pg_catalog.setval('public.audits_id_seq', 3, true);
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.allowances
    ADD CONSTRAINT allowances_pkey PRIMARY KEY (environment, name);
ALTER TABLE ONLY public.audits
    ADD CONSTRAINT audits_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.credentials
    ADD CONSTRAINT credentials_pkey PRIMARY KEY (environment, tenant, name);
ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.environments
    ADD CONSTRAINT environments_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.event_keys
    ADD CONSTRAINT event_keys_pkey PRIMARY KEY (environment, trigger_name, key);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.execution_logs
    ADD CONSTRAINT execution_logs_pkey PRIMARY KEY (execution, id);
ALTER TABLE ONLY public.execution_payloads
    ADD CONSTRAINT execution_payloads_pkey PRIMARY KEY (execution);
ALTER TABLE ONLY public.execution_signals
    ADD CONSTRAINT execution_signals_pkey PRIMARY KEY (execution, name);
ALTER TABLE ONLY public.execution_steps
    ADD CONSTRAINT execution_steps_pkey PRIMARY KEY (execution, name);
ALTER TABLE ONLY public.executions
    ADD CONSTRAINT executions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.generations
    ADD CONSTRAINT generations_pkey PRIMARY KEY (environment, number);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.objects
    ADD CONSTRAINT objects_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.poll_records
    ADD CONSTRAINT poll_records_pkey PRIMARY KEY (environment, trigger_name, connection, id);
ALTER TABLE ONLY public.polls
    ADD CONSTRAINT polls_pkey PRIMARY KEY (environment, trigger_name, connection);
ALTER TABLE ONLY public.replicas
    ADD CONSTRAINT replicas_pkey PRIMARY KEY (environment, replica);
ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (environment, trigger_name);
ALTER TABLE ONLY public.states
    ADD CONSTRAINT states_pkey PRIMARY KEY (environment, name);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (environment, trigger_name, connection);
ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (environment, id);
ALTER TABLE ONLY public.workflow_state
    ADD CONSTRAINT workflow_state_pkey PRIMARY KEY (environment, scope, name);
ALTER TABLE ONLY public.workflow_versions
    ADD CONSTRAINT workflow_versions_pkey PRIMARY KEY (environment, workflow, version);
CREATE INDEX allowances_expiry ON public.allowances USING btree (environment, expires_at);
CREATE INDEX audits_of_environment ON public.audits USING btree (environment, id);
CREATE INDEX dead_letters_deletion ON public.dead_letters USING btree (environment, delete_at);
CREATE INDEX dead_letters_of_environment ON public.dead_letters USING btree (environment, created_at, id);
CREATE INDEX dead_letters_pending ON public.dead_letters USING btree (environment, expires_at) WHERE (status = 'Pending'::text);
CREATE INDEX event_keys_expiry ON public.event_keys USING btree (environment, expires_at);
CREATE INDEX events_of_environment ON public.events USING btree (environment, received_at, id);
CREATE INDEX executions_blocked ON public.executions USING btree (environment, created_at, id) WHERE is_blocked;
CREATE INDEX executions_finished ON public.executions USING btree (environment, finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX executions_leased ON public.executions USING btree (environment, lease_expires_at) WHERE (lease_expires_at IS NOT NULL);
CREATE INDEX executions_of_batch ON public.executions USING btree (environment, batch_key) WHERE ((started_at IS NULL) AND (finished_at IS NULL) AND (batch_key IS NOT NULL));
CREATE INDEX executions_of_concurrency_group ON public.executions USING btree (environment, concurrency_group, created_at, id) WHERE ((finished_at IS NULL) AND (concurrency_group IS NOT NULL));
CREATE INDEX executions_of_environment ON public.executions USING btree (environment, created_at, id);
CREATE INDEX executions_of_ordering_key ON public.executions USING btree (environment, ordering_key, created_at, id) WHERE ((finished_at IS NULL) AND (ordering_key IS NOT NULL));
CREATE INDEX executions_open ON public.executions USING btree (environment, source) WHERE (finished_at IS NULL);
CREATE INDEX executions_ready ON public.executions USING btree (environment, priority, tenant, ready_since) WHERE (ready_since IS NOT NULL);
CREATE INDEX executions_waking ON public.executions USING btree (environment, wake_at) WHERE (wake_at IS NOT NULL);
CREATE INDEX generations_by_age ON public.generations USING btree (environment, activated_at);
CREATE INDEX replicas_by_age ON public.replicas USING btree (environment, reported_at);
CREATE INDEX tombstones_expiry ON public.tombstones USING btree (environment, expires_at);
CREATE INDEX workflow_state_expiry ON public.workflow_state USING btree (environment, expires_at) WHERE (expires_at IS NOT NULL);
ALTER TABLE ONLY public.execution_logs
    ADD CONSTRAINT execution_logs_execution_fkey FOREIGN KEY (execution) REFERENCES public.executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.execution_payloads
    ADD CONSTRAINT execution_payloads_execution_fkey FOREIGN KEY (execution) REFERENCES public.executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.execution_signals
    ADD CONSTRAINT execution_signals_execution_fkey FOREIGN KEY (execution) REFERENCES public.executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.execution_steps
    ADD CONSTRAINT execution_steps_execution_fkey FOREIGN KEY (execution) REFERENCES public.executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.generations
    ADD CONSTRAINT generations_environment_fkey FOREIGN KEY (environment) REFERENCES public.environments(name);
ALTER TABLE ONLY public.poll_records
    ADD CONSTRAINT poll_records_environment_trigger_name_connection_fkey FOREIGN KEY (environment, trigger_name, connection) REFERENCES public.polls(environment, trigger_name, connection) ON DELETE CASCADE;
ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_environment_fkey FOREIGN KEY (environment) REFERENCES public.environments(name);
