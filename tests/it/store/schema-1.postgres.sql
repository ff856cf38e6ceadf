-- Schema 1 with a little in it. Never to be changed once it is released.
CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.audits (
    id bigint NOT NULL,
    environment text NOT NULL,
    written_at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    details text NOT NULL
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
    sealed bytea NOT NULL
);
CREATE TABLE public.environments (
    name text NOT NULL,
    active bigint NOT NULL,
    last bigint NOT NULL
);
CREATE TABLE public.generations (
    environment text NOT NULL,
    number bigint NOT NULL,
    digest bytea NOT NULL,
    revisions text NOT NULL,
    cause text NOT NULL,
    actor text NOT NULL,
    activated_at bigint NOT NULL,
    plan_digest bytea,
    summary text NOT NULL
);
CREATE TABLE public.leases (
    name text NOT NULL,
    holder text NOT NULL,
    token bigint NOT NULL,
    expires_at bigint NOT NULL
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
CREATE TABLE public.replicas (
    environment text NOT NULL,
    replica text NOT NULL,
    number bigint NOT NULL,
    digest bytea NOT NULL,
    heard_at bigint NOT NULL
);
CREATE TABLE public.states (
    environment text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.tombstones (
    environment text NOT NULL,
    id text NOT NULL,
    item text NOT NULL,
    generation bigint NOT NULL,
    removed_at bigint NOT NULL,
    kept_for bigint NOT NULL,
    kept_until bigint NOT NULL
);
INSERT INTO public._sqlx_migrations VALUES (1, 'first', '2026-11-21 09:28:26.874101+00', true, '\x18d022c2426b1cb07b317898f9abff5b2fbd0b9d5abbc3da03ece09646587644771c25675bb0e572e50d74ffb33242cb', 19920105);
INSERT INTO public.audits OVERRIDING SYSTEM VALUE VALUES (1, 'live', 1795253307012648, 'reconciler', 'Source', '{"generation":1,"digest":"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of one"}}');
INSERT INTO public.audits OVERRIDING SYSTEM VALUE VALUES (2, 'live', 1795253307046515, 'reconciler', 'Source', '{"generation":2,"digest":"sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3","plan":"sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525","revisions":{"main":"revision of two"}}');
INSERT INTO public.audits OVERRIDING SYSTEM VALUE VALUES (3, 'live', 1795253307050133, 'me', 'Suspend', '{}');
INSERT INTO public.credentials VALUES ('live', 'acme', 'token', 'dumps', '\x35776d77ee671b74c16f47dcf36e791af45de6aaf2750eedb815d50d3eb729cb6fc8aa13c89ff8113c86a9e01c9cbe3cf4c7ab58e948f7579901519cba66adf6be1e4032e2eb25f5', '\x282a27227122a9a12b61e7898a0cffd5cd892a08b40106e24bb6b16db4b7337f8ac7aa23e703ef9a0eaabce3c72fbd');
INSERT INTO public.environments VALUES ('live', 2, 2);
INSERT INTO public.generations VALUES ('live', 1, '\x7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '{"main":"revision of one"}', 'Source', 'reconciler', 1795253307012648, '\x64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525', '{"created":1}');
INSERT INTO public.generations VALUES ('live', 2, '\x3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', '{"main":"revision of two"}', 'Source', 'reconciler', 1795253307046515, '\x64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525', '{"created":1}');
INSERT INTO public.leases VALUES ('live', 'a process', 1, 1795253367048478);
INSERT INTO public.objects VALUES ('\x7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', 1795253307009959, '\x6f6e65');
INSERT INTO public.objects VALUES ('\x3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', 1795253307044780, '\x74776f');
INSERT INTO public.states VALUES ('live', 'status', 1, '{"ready":true}');
INSERT INTO public.tombstones VALUES ('live', 'Connector/orbit', '{"a":1}', 0, 1795253307012648, 9223372036854775807, 9223372036854775807);
SELECT pg_catalog.setval('public.audits_id_seq', 3, true);
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.audits
    ADD CONSTRAINT audits_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.credentials
    ADD CONSTRAINT credentials_pkey PRIMARY KEY (environment, tenant, name);
ALTER TABLE ONLY public.environments
    ADD CONSTRAINT environments_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.generations
    ADD CONSTRAINT generations_pkey PRIMARY KEY (environment, number);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.objects
    ADD CONSTRAINT objects_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.replicas
    ADD CONSTRAINT replicas_pkey PRIMARY KEY (environment, replica);
ALTER TABLE ONLY public.states
    ADD CONSTRAINT states_pkey PRIMARY KEY (environment, name);
ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (environment, id);
CREATE INDEX audits_of_environment ON public.audits USING btree (environment, id);
ALTER TABLE ONLY public.generations
    ADD CONSTRAINT generations_environment_fkey FOREIGN KEY (environment) REFERENCES public.environments(name);
ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_environment_fkey FOREIGN KEY (environment) REFERENCES public.environments(name);
