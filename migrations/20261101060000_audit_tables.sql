-- What happened: audit log, what users did, and which executors are alive.

-- Append-only.
create table audit_logs (
    id                  uuid not null default extensions.uuid_generate_v4(),
    timestamp           timestamptz not null default now(),
    user_id             uuid,
    action              text not null,
    details             jsonb,
    ip_address          text,
    created_at          timestamptz not null default now(),
    auth_source         text,
    idm_user_dn         text,
    idm_groups_at_login jsonb,
    auth_method         text,
    constraint audit_logs_pkey primary key (id),
    constraint audit_logs_user_id_fkey foreign key (user_id)
        references profiles (id)
);
create index idx_audit_logs_timestamp on audit_logs ("timestamp" desc);
create index idx_audit_logs_user_id on audit_logs (user_id);
alter table audit_logs enable row level security;

-- What users did in the interface.
create table user_activity (
    id            uuid not null default gen_random_uuid(),
    timestamp     timestamptz not null default now(),
    user_id       uuid,
    activity_type text not null,
    target_type   text,
    target_name   text,
    target_id     uuid,
    details       jsonb,
    success       boolean default true,
    duration_ms   integer,
    error_message text,
    created_at    timestamptz not null default now(),
    constraint user_activity_pkey primary key (id),
    constraint user_activity_user_id_fkey foreign key (user_id)
        references profiles (id)
);
create index idx_user_activity_timestamp on user_activity ("timestamp" desc);
create index idx_user_activity_type on user_activity (activity_type);
create index idx_user_activity_user on user_activity (user_id);
alter table user_activity enable row level security;

-- Last sign of life of each executor.
create table executor_heartbeats (
    id             uuid not null default gen_random_uuid(),
    executor_id    text not null,
    hostname       text,
    ip_address     text,
    version        text,
    capabilities   jsonb default '[]',
    last_seen_at   timestamptz default now(),
    poll_count     integer default 0,
    jobs_processed integer default 0,
    startup_time   timestamptz,
    last_error     text,
    created_at     timestamptz default now(),
    constraint executor_heartbeats_pkey primary key (id),
    constraint executor_heartbeats_executor_id_key unique (executor_id)
);
create index idx_executor_heartbeats_last_seen on executor_heartbeats (last_seen_at desc);
alter table executor_heartbeats enable row level security;
