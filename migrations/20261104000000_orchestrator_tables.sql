-- The update plans of the sibling system, in a schema of their own (Accept-Profile: orchestrator).

create schema orchestrator;

-- Machines under management; linked to the product's server by service tag or iDRAC address.
create table orchestrator.hosts (
    id           uuid primary key default gen_random_uuid(),
    fqdn         text not null,
    mgmt_ip      varchar(45) not null,
    model        text,
    service_tag  text,
    mgmt_kind    text,
    vcenter_url  text,
    cluster_moid text,
    host_moid    text,
    tags         text[],
    created_at   timestamptz default now(),
    updated_at   timestamptz default now(),
    server_id    uuid references public.servers (id) on delete set null
);
create index idx_hosts_cluster on orchestrator.hosts (cluster_moid);
create index idx_hosts_mgmt_ip on orchestrator.hosts (mgmt_ip);
create index idx_hosts_service_tag on orchestrator.hosts (service_tag);
create index idx_hosts_server on orchestrator.hosts (server_id);

-- Where the credentials of a host are kept, not the credentials themselves.
create table orchestrator.credentials (
    id         uuid primary key default gen_random_uuid(),
    host_id    uuid references orchestrator.hosts (id) on delete cascade,
    kind       text not null,
    vault_path text not null,
    created_at timestamptz default now()
);
create index idx_credentials_host on orchestrator.credentials (host_id);
create index idx_credentials_kind on orchestrator.credentials (kind);

-- draft -> (approval) scheduled -> running -> completed, failed or paused.
create table orchestrator.update_plans (
    id                 uuid primary key default gen_random_uuid(),
    name               text not null,
    policy             jsonb not null default '{}',
    created_at         timestamptz default now(),
    status             text default 'draft',
    created_by         uuid references auth.users (id) on delete set null,
    maintenance_window jsonb,
    approval_required  boolean default false,
    constraint update_plans_status_check check (
        status in ('draft', 'scheduled', 'running', 'completed', 'failed', 'paused', 'cancelled'))
);
create index idx_plans_created_by on orchestrator.update_plans (created_by);
create index idx_plans_status on orchestrator.update_plans (status);

-- Hosts of a plan, in the order of priority.
create table orchestrator.plan_targets (
    plan_id    uuid not null references orchestrator.update_plans (id) on delete cascade,
    host_id    uuid not null references orchestrator.hosts (id) on delete cascade,
    priority   integer default 0,
    conditions jsonb default '{}',
    primary key (plan_id, host_id)
);
create index idx_plan_targets_host on orchestrator.plan_targets (host_id);
create index idx_plan_targets_plan on orchestrator.plan_targets (plan_id);
create index idx_plan_targets_priority on orchestrator.plan_targets (plan_id, priority);

-- Images that a plan installs.
create table orchestrator.artifacts (
    id         uuid primary key default gen_random_uuid(),
    plan_id    uuid references orchestrator.update_plans (id) on delete cascade,
    component  text not null,
    image_uri  text not null,
    version    text,
    checksum   text,
    size_bytes bigint,
    metadata   jsonb default '{}'
);
create index idx_artifacts_component on orchestrator.artifacts (component);
create index idx_artifacts_plan on orchestrator.artifacts (plan_id);

-- One host's way through a plan. The phase is in ctx.progress.phase; the state changes only through set_host_run_state().
create table orchestrator.host_runs (
    id           uuid primary key default gen_random_uuid(),
    plan_id      uuid references orchestrator.update_plans (id) on delete cascade,
    host_id      uuid references orchestrator.hosts (id) on delete cascade,
    state        text not null default 'pending',
    ctx          jsonb not null default '{}',
    attempts     integer not null default 0,
    started_at   timestamptz,
    completed_at timestamptz,
    created_at   timestamptz default now(),
    updated_at   timestamptz default now(),
    constraint host_runs_state_check check (
        state in ('pending', 'running', 'completed', 'failed', 'cancelled', 'retrying'))
);
create index idx_host_runs_plan_host on orchestrator.host_runs (plan_id, host_id);
create index idx_host_runs_state on orchestrator.host_runs (state);
create index idx_host_runs_updated on orchestrator.host_runs (updated_at);

-- Settings by key.
create table orchestrator.system_config (
    key         text primary key,
    value       jsonb not null,
    description text,
    created_at  timestamptz default now(),
    updated_at  timestamptz default now()
);

-- What happened, for people to read.
create table orchestrator.system_events (
    id         uuid primary key default gen_random_uuid(),
    event_type text not null,
    severity   text not null default 'info',
    message    text not null,
    details    jsonb default '{}',
    user_id    uuid references auth.users (id) on delete set null,
    host_id    uuid references orchestrator.hosts (id) on delete set null,
    plan_id    uuid references orchestrator.update_plans (id) on delete set null,
    created_at timestamptz default now()
);
create index idx_events_created on orchestrator.system_events (created_at);
create index idx_events_severity on orchestrator.system_events (severity);
create index idx_events_type on orchestrator.system_events (event_type);
create index idx_events_user on orchestrator.system_events (user_id);

-- Work taken with FOR UPDATE SKIP LOCKED: queued, due, and tried less often than max_attempts.
create table orchestrator.background_jobs (
    id            uuid primary key default gen_random_uuid(),
    job_type      text not null,
    status        text not null default 'queued',
    payload       jsonb not null default '{}',
    result        jsonb,
    error_message text,
    attempts      integer default 0,
    max_attempts  integer default 3,
    scheduled_for timestamptz default now(),
    started_at    timestamptz,
    completed_at  timestamptz,
    created_at    timestamptz default now()
);
create index idx_jobs_scheduled on orchestrator.background_jobs (scheduled_for);
create index idx_jobs_status on orchestrator.background_jobs (status);
create index idx_jobs_type on orchestrator.background_jobs (job_type);

-- Work of the local API.
create table orchestrator.task_queue (
    id            uuid primary key default gen_random_uuid(),
    task_type     text not null,
    status        text default 'pending',
    payload       jsonb not null,
    priority      integer default 0,
    scheduled_for timestamptz default now(),
    attempts      integer default 0,
    created_at    timestamptz default now()
);
create index idx_task_queue_due on orchestrator.task_queue (status, scheduled_for);

-- Open Redfish sessions, so that a restart does not leave them behind. Tokens are stored encrypted.
create table orchestrator.redfish_sessions (
    host_id       uuid primary key references orchestrator.hosts (id) on delete cascade,
    session_token text not null,
    session_uri   text not null,
    expires_at    timestamptz not null,
    created_at    timestamptz default now()
);
