-- Maintenance windows and the safety checks before them.

-- Planned work, once or recurring.
create table maintenance_windows (
    id                    uuid not null default gen_random_uuid(),
    title                 text not null,
    description           text,
    cluster_ids           text[],
    planned_start         timestamptz not null,
    planned_end           timestamptz not null,
    maintenance_type      text not null,
    status                text not null default 'planned',
    created_by            uuid,
    created_at            timestamptz default now(),
    updated_at            timestamptz default now(),
    safety_check_snapshot jsonb,
    started_at            timestamptz,
    completed_at          timestamptz,
    job_ids               uuid[],
    notify_before_hours   integer default 24,
    notification_sent     boolean default false,
    requires_approval     boolean default false,
    approved_by           uuid,
    approved_at           timestamptz,
    server_group_ids      uuid[],
    auto_execute          boolean default true,
    details               jsonb default '{}',
    credential_set_ids    uuid[] default '{}',
    recurrence_enabled    boolean default false,
    recurrence_pattern    text,
    recurrence_type       text,
    last_executed_at      timestamptz,
    server_ids            uuid[],
    skip_count            integer default 0,
    constraint maintenance_windows_pkey primary key (id),
    constraint maintenance_windows_recurrence_type_check check (
        recurrence_type in ('daily', 'weekly', 'monthly', 'custom')),
    constraint valid_date_range check (planned_end > planned_start),
    constraint valid_maintenance_type check (
        maintenance_type in (
            'firmware_update', 'host_maintenance', 'cluster_upgrade', 'custom', 'firmware_only', 'esxi_only',
            'esxi_then_firmware', 'firmware_then_esxi', 'esxi_upgrade', 'full_update', 'safety_check',
            'emergency_patch')),
    constraint valid_status check (
        status in (
            'planned', 'scheduled', 'in_progress', 'paused', 'completed', 'failed', 'cancelled', 'skipped')),
    constraint maintenance_windows_approved_by_fkey foreign key (approved_by)
        references profiles (id),
    constraint maintenance_windows_created_by_fkey foreign key (created_by)
        references profiles (id)
);
create index idx_maintenance_windows_clusters on maintenance_windows using gin (cluster_ids);
create index idx_maintenance_windows_dates on maintenance_windows (planned_start, planned_end);
create index idx_maintenance_windows_recurring on maintenance_windows (recurrence_enabled, last_executed_at)
    where recurrence_enabled = true;
create index idx_maintenance_windows_scheduler on maintenance_windows (status, planned_start, planned_end)
    where status = 'planned' and auto_execute = true;
create index idx_maintenance_windows_status on maintenance_windows (status);
alter table maintenance_windows enable row level security;
create trigger update_maintenance_windows_updated_at
    before update on maintenance_windows
    for each row execute function update_updated_at_column();

-- How a machine that blocks maintenance mode is dealt with.
create table maintenance_blocker_resolutions (
    id                    uuid not null default gen_random_uuid(),
    maintenance_window_id uuid,
    host_id               uuid not null,
    host_name             text not null,
    vm_id                 text not null,
    vm_name               text not null,
    blocker_reason        text not null,
    resolution_type       text not null,
    resolution_details    jsonb default '{}',
    resolved_by           uuid,
    resolved_at           timestamptz default now(),
    executed_at           timestamptz,
    execution_result      text,
    powered_on_at         timestamptz,
    created_at            timestamptz default now(),
    constraint maintenance_blocker_resolutions_pkey primary key (id),
    constraint maintenance_blocker_resolutions_maintenance_window_id_fkey foreign key (maintenance_window_id)
        references maintenance_windows (id) on delete cascade,
    constraint maintenance_blocker_resolutions_resolved_by_fkey foreign key (resolved_by)
        references profiles (id)
);
create index idx_blocker_resolutions_host on maintenance_blocker_resolutions (host_id);
create index idx_blocker_resolutions_maintenance_window on maintenance_blocker_resolutions (maintenance_window_id);
alter table maintenance_blocker_resolutions enable row level security;

-- Whether a cluster can lose a host.
create table cluster_safety_checks (
    id                 uuid not null default gen_random_uuid(),
    job_id             uuid,
    cluster_id         text not null,
    check_timestamp    timestamptz default now(),
    total_hosts        integer not null,
    healthy_hosts      integer not null,
    min_required_hosts integer not null,
    safe_to_proceed    boolean not null,
    details            jsonb,
    created_at         timestamptz default now(),
    is_scheduled       boolean default false,
    scheduled_check_id uuid,
    previous_status    text,
    status_changed     boolean default false,
    constraint cluster_safety_checks_pkey primary key (id),
    constraint cluster_safety_checks_job_id_fkey foreign key (job_id)
        references jobs (id) on delete cascade
);
create index idx_cluster_safety_checks_cluster_id on cluster_safety_checks (cluster_id);
create index idx_cluster_safety_checks_job_id on cluster_safety_checks (job_id);
create index idx_cluster_safety_checks_timestamp on cluster_safety_checks (check_timestamp desc);
alter table cluster_safety_checks enable row level security;

-- Whether a group can lose a server.
create table server_group_safety_checks (
    id                   uuid not null default gen_random_uuid(),
    server_group_id      uuid,
    job_id               uuid,
    check_timestamp      timestamptz default now(),
    safe_to_proceed      boolean not null,
    total_servers        integer not null,
    healthy_servers      integer not null,
    min_required_servers integer not null,
    warnings             text[],
    details              jsonb,
    is_scheduled         boolean default false,
    scheduled_check_id   uuid,
    previous_status      text,
    status_changed       boolean default false,
    created_at           timestamptz default now(),
    constraint server_group_safety_checks_pkey primary key (id),
    constraint server_group_safety_checks_job_id_fkey foreign key (job_id)
        references jobs (id),
    constraint server_group_safety_checks_server_group_id_fkey foreign key (server_group_id)
        references server_groups (id)
);
create index idx_server_group_safety_checks_group on server_group_safety_checks (server_group_id);
create index idx_server_group_safety_checks_timestamp on server_group_safety_checks (check_timestamp);
alter table server_group_safety_checks enable row level security;

-- When clusters are checked without being asked.
create table scheduled_safety_checks (
    id                              uuid not null default gen_random_uuid(),
    enabled                         boolean default false,
    schedule_cron                   text default '0 */6 * * *',
    check_all_clusters              boolean default true,
    specific_clusters               text[],
    min_required_hosts              integer default 2,
    notify_on_unsafe                boolean default true,
    notify_on_warnings              boolean default false,
    notify_on_safe_to_unsafe_change boolean default true,
    last_run_at                     timestamptz,
    last_status                     text,
    created_at                      timestamptz default now(),
    updated_at                      timestamptz default now(),
    constraint scheduled_safety_checks_pkey primary key (id)
);
alter table scheduled_safety_checks enable row level security;
