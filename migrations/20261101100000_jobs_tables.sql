-- Jobs, their tasks per server, the steps of long workflows, and every call made to a device.

-- Work for the executor. Its states are guarded by a trigger.
create table jobs (
    id                 uuid not null default extensions.uuid_generate_v4(),
    job_type           job_type not null,
    status             job_status not null default 'pending',
    target_scope       jsonb,
    details            jsonb,
    created_by         uuid,
    schedule_at        timestamptz,
    created_at         timestamptz not null default now(),
    started_at         timestamptz,
    completed_at       timestamptz,
    parent_job_id      uuid,
    component_order    integer,
    credential_set_ids uuid[],
    firmware_source    text default 'manual_repository',
    dell_catalog_url   text default 'https://downloads.dell.com/catalog/Catalog.xml',
    auto_select_latest boolean default true,
    priority           text default 'normal',
    notes              text,
    constraint jobs_pkey primary key (id),
    constraint jobs_created_by_fkey foreign key (created_by)
        references profiles (id),
    constraint jobs_parent_job_id_fkey foreign key (parent_job_id)
        references jobs (id) on delete cascade
);
create index idx_jobs_created_by on jobs (created_by);
create index idx_jobs_firmware_source on jobs (firmware_source);
create index idx_jobs_parent_job_id on jobs (parent_job_id);
create index idx_jobs_priority on jobs (priority);
create index idx_jobs_status on jobs (status);
create index idx_jobs_status_schedule on jobs (status, schedule_at) where status in ('pending', 'running');
alter table jobs replica identity full;
alter table jobs enable row level security;

-- Part of a job, usually one server.
create table job_tasks (
    id              uuid not null default extensions.uuid_generate_v4(),
    job_id          uuid not null,
    server_id       uuid,
    vcenter_host_id uuid,
    status          job_status not null default 'pending',
    log             text,
    started_at      timestamptz,
    completed_at    timestamptz,
    created_at      timestamptz not null default now(),
    progress        integer default 0,
    constraint job_tasks_pkey primary key (id),
    constraint job_tasks_progress_check check (progress between 0 and 100),
    constraint job_tasks_job_id_fkey foreign key (job_id)
        references jobs (id) on delete cascade,
    constraint job_tasks_server_id_fkey foreign key (server_id)
        references servers (id) on delete set null,
    constraint job_tasks_vcenter_host_id_fkey foreign key (vcenter_host_id)
        references vcenter_hosts (id)
);
create index idx_job_tasks_job_id on job_tasks (job_id);
create index idx_job_tasks_progress on job_tasks (job_id, status, progress) where status = 'running';
alter table job_tasks replica identity full;
alter table job_tasks enable row level security;

-- Steps of a long workflow, in order.
create table workflow_executions (
    id                uuid not null default gen_random_uuid(),
    job_id            uuid not null,
    workflow_type     text not null,
    cluster_id        text,
    host_id           uuid,
    server_id         uuid,
    step_number       integer not null,
    step_name         text not null,
    step_status       text not null,
    step_started_at   timestamptz,
    step_completed_at timestamptz,
    step_details      jsonb,
    step_error        text,
    created_at        timestamptz default now(),
    constraint workflow_executions_pkey primary key (id),
    constraint workflow_executions_step_status_check check (
        step_status in ('pending', 'running', 'completed', 'failed', 'skipped', 'paused', 'cancelled')),
    constraint workflow_executions_host_id_fkey foreign key (host_id)
        references vcenter_hosts (id) on delete set null,
    constraint workflow_executions_job_id_fkey foreign key (job_id)
        references jobs (id) on delete cascade,
    constraint workflow_executions_server_id_fkey foreign key (server_id)
        references servers (id) on delete set null
);
create index idx_workflow_executions_job_id on workflow_executions (job_id);
create index idx_workflow_executions_step_status on workflow_executions (step_status);
create index idx_workflow_executions_workflow_type on workflow_executions (workflow_type);
alter table workflow_executions replica identity full;
alter table workflow_executions enable row level security;

-- Every call to a device, with secrets redacted by the caller.
create table idrac_commands (
    id               uuid not null default gen_random_uuid(),
    timestamp        timestamptz not null default now(),
    server_id        uuid,
    job_id           uuid,
    task_id          uuid,
    command_type     text not null,
    endpoint         text not null,
    full_url         text not null,
    request_headers  jsonb,
    request_body     jsonb,
    status_code      integer,
    response_time_ms integer,
    response_body    jsonb,
    success          boolean not null default true,
    error_message    text,
    initiated_by     uuid,
    source           text,
    created_at       timestamptz not null default now(),
    operation_type   operation_type not null,
    constraint idrac_commands_pkey primary key (id),
    constraint idrac_commands_initiated_by_fkey foreign key (initiated_by)
        references profiles (id),
    constraint idrac_commands_job_id_fkey foreign key (job_id)
        references jobs (id) on delete cascade,
    constraint idrac_commands_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade,
    constraint idrac_commands_task_id_fkey foreign key (task_id)
        references job_tasks (id) on delete cascade
);
create index idx_idrac_commands_job_id on idrac_commands (job_id);
create index idx_idrac_commands_operation_type on idrac_commands (operation_type);
create index idx_idrac_commands_server_id on idrac_commands (server_id);
create index idx_idrac_commands_success on idrac_commands (success);
create index idx_idrac_commands_timestamp on idrac_commands ("timestamp" desc);
alter table idrac_commands replica identity full;
alter table idrac_commands enable row level security;

-- Notifications sent or failed.
create table notification_logs (
    id                uuid not null default gen_random_uuid(),
    created_at        timestamptz not null default now(),
    notification_type text not null,
    job_id            uuid,
    status            text not null,
    error_message     text,
    delivery_details  jsonb,
    is_test           boolean not null default false,
    severity          text default 'normal',
    constraint notification_logs_pkey primary key (id),
    constraint notification_logs_notification_type_check check (
        notification_type in (
            'email', 'teams', 'cluster_safety_alert', 'sla_violation_alert', 'maintenance_reminder',
            'job_notification')),
    constraint notification_logs_severity_check check (
        severity in ('critical', 'high', 'normal', 'low', 'warning')),
    constraint notification_logs_status_check check (status in ('success', 'failed')),
    constraint notification_logs_job_id_fkey foreign key (job_id)
        references jobs (id) on delete set null
);
create index idx_notification_logs_created_at on notification_logs (created_at desc);
create index idx_notification_logs_job_id on notification_logs (job_id) where job_id is not null;
alter table notification_logs enable row level security;
