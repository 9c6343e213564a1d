-- Replication and failover: ZFS targets with their agents, protection groups, their runs and violations.

-- Machine templates from which storage targets are deployed.
create table zfs_target_templates (
    id                    uuid not null default gen_random_uuid(),
    name                  text not null,
    description           text,
    vcenter_id            uuid,
    template_moref        text not null,
    template_name         text not null,
    default_datacenter    text,
    default_cluster       text,
    default_datastore     text,
    default_network       text,
    default_resource_pool text,
    default_zfs_pool_name text default 'tank',
    default_zfs_disk_path text default '/dev/sdb',
    default_nfs_network   text default '10.0.0.0/8',
    default_cpu_count     integer default 2,
    default_memory_gb     integer default 8,
    default_zfs_disk_gb   integer default 500,
    default_ssh_username  text default 'zfsadmin',
    ssh_key_encrypted     text,
    is_active             boolean default true,
    created_by            uuid,
    created_at            timestamptz default now(),
    updated_at            timestamptz default now(),
    ssh_key_id            uuid,
    last_deployed_at      timestamptz,
    deployment_count      integer default 0,
    use_template_disk     boolean default false,
    status                text not null default 'draft',
    version               text,
    preparation_job_id    uuid,
    headroom_percent      integer default 50,
    min_disk_gb           integer default 100,
    max_disk_gb           integer default 10000,
    constraint zfs_target_templates_pkey primary key (id),
    constraint zfs_target_templates_status_check check (
        status in ('draft', 'preparing', 'ready', 'deprecated')),
    constraint zfs_target_templates_created_by_fkey foreign key (created_by)
        references profiles (id),
    constraint zfs_target_templates_preparation_job_id_fkey foreign key (preparation_job_id)
        references jobs (id),
    constraint zfs_target_templates_ssh_key_id_fkey foreign key (ssh_key_id)
        references ssh_keys (id) on delete set null,
    constraint zfs_target_templates_vcenter_id_fkey foreign key (vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_zfs_target_templates_status on zfs_target_templates (status);
alter table zfs_target_templates enable row level security;
create trigger encrypt_zfs_target_templates_secrets
    before insert or update on zfs_target_templates
    for each row execute function encrypt_secret_columns('ssh_key_encrypted');

-- Storage targets that receive replicas.
create table replication_targets (
    id                       uuid not null default gen_random_uuid(),
    name                     text not null,
    description              text,
    target_type              text not null default 'zfs',
    hostname                 text not null,
    port                     integer default 22,
    zfs_pool                 text not null,
    zfs_dataset_prefix       text,
    ssh_username             text,
    ssh_key_encrypted        text,
    dr_vcenter_id            uuid,
    is_active                boolean default true,
    last_health_check        timestamptz,
    health_status            text default 'unknown',
    created_by               uuid,
    created_at               timestamptz default now(),
    updated_at               timestamptz default now(),
    ssh_key_id               uuid,
    source_template_id       uuid,
    deployed_job_id          uuid,
    deployed_vm_moref        text,
    deployed_ip_source       text default 'dhcp',
    site_role                text default 'primary',
    site_location            text,
    partner_target_id        uuid,
    archived_at              timestamptz,
    ssh_trust_established    boolean default false,
    datastore_name           text,
    nfs_export_path          text,
    hosting_vm_id            uuid,
    agent_id                 uuid,
    provisioned_disk_gb      integer,
    protection_group_id      uuid,
    headroom_percent         integer,
    vm_count_at_provisioning integer,
    source_vm_storage_bytes  bigint,
    constraint replication_targets_pkey primary key (id),
    constraint replication_targets_deployed_job_id_fkey foreign key (deployed_job_id)
        references jobs (id),
    constraint replication_targets_dr_vcenter_id_fkey foreign key (dr_vcenter_id)
        references vcenters (id) on delete set null,
    constraint replication_targets_hosting_vm_id_fkey foreign key (hosting_vm_id)
        references vcenter_vms (id),
    constraint replication_targets_partner_target_id_fkey foreign key (partner_target_id)
        references replication_targets (id),
    constraint replication_targets_source_template_id_fkey foreign key (source_template_id)
        references zfs_target_templates (id),
    constraint replication_targets_ssh_key_id_fkey foreign key (ssh_key_id)
        references ssh_keys (id) on delete set null
);
create index idx_replication_targets_agent_id on replication_targets (agent_id);
create index idx_replication_targets_archived on replication_targets (archived_at) where archived_at is null;
create index idx_replication_targets_protection_group_id on replication_targets (protection_group_id);
create index idx_targets_partner on replication_targets (partner_target_id);
alter table replication_targets enable row level security;
create trigger update_replication_targets_updated_at
    before update on replication_targets
    for each row execute function update_updated_at_column();
create trigger encrypt_replication_targets_secrets
    before insert or update on replication_targets
    for each row execute function encrypt_secret_columns('ssh_key_encrypted');

-- Two targets that replicate to each other.
create table replication_pairs (
    id                      uuid not null default gen_random_uuid(),
    name                    text not null,
    description             text,
    source_target_id        uuid,
    source_vcenter_id       uuid,
    destination_target_id   uuid,
    destination_vcenter_id  uuid,
    source_dataset          text,
    destination_dataset     text,
    replication_method      text default 'zfs_send',
    use_compression         boolean default true,
    use_encryption          boolean default false,
    connection_status       text default 'unknown',
    last_connection_test    timestamptz,
    last_connection_error   text,
    bytes_transferred_total bigint default 0,
    is_enabled              boolean default true,
    created_by              uuid,
    created_at              timestamptz default now(),
    updated_at              timestamptz default now(),
    constraint replication_pairs_pkey primary key (id),
    constraint different_targets check (
        source_target_id is null
        or destination_target_id is null
        or source_target_id <> destination_target_id),
    constraint replication_pairs_created_by_fkey foreign key (created_by)
        references profiles (id) on delete set null,
    constraint replication_pairs_destination_target_id_fkey foreign key (destination_target_id)
        references replication_targets (id) on delete set null,
    constraint replication_pairs_destination_vcenter_id_fkey foreign key (destination_vcenter_id)
        references vcenters (id) on delete set null,
    constraint replication_pairs_source_target_id_fkey foreign key (source_target_id)
        references replication_targets (id) on delete set null,
    constraint replication_pairs_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete set null
);
alter table replication_pairs enable row level security;
create trigger update_replication_pairs_updated_at
    before update on replication_pairs
    for each row execute function update_updated_at_column();

-- Agents on the targets.
create table zfs_agents (
    id              uuid not null default gen_random_uuid(),
    target_id       uuid,
    hostname        text not null,
    agent_version   text,
    api_url         text,
    api_port        integer default 8000,
    api_protocol    text default 'https',
    last_seen_at    timestamptz,
    capabilities    jsonb default '{}',
    status          text default 'unknown',
    pool_name       text,
    pool_size_bytes bigint,
    pool_free_bytes bigint,
    pool_health     text,
    created_at      timestamptz default now(),
    updated_at      timestamptz default now(),
    constraint zfs_agents_pkey primary key (id),
    constraint zfs_agents_status_check check (status in ('online', 'idle', 'busy', 'offline', 'unknown')),
    constraint zfs_agents_target_id_fkey foreign key (target_id)
        references replication_targets (id) on delete set null
);
create index idx_zfs_agents_last_seen on zfs_agents (last_seen_at);
create index idx_zfs_agents_status on zfs_agents (status);
create index idx_zfs_agents_target_id on zfs_agents (target_id);
alter table zfs_agents enable row level security;
create trigger update_zfs_agents_updated_at
    before update on zfs_agents
    for each row execute function update_updated_at_column();

-- Events reported by agents.
create table agent_events (
    id              uuid not null default gen_random_uuid(),
    agent_id        uuid not null,
    event_type      text not null,
    severity        text default 'info',
    message         text not null,
    details         jsonb,
    acknowledged_at timestamptz,
    acknowledged_by uuid,
    created_at      timestamptz default now(),
    constraint agent_events_pkey primary key (id),
    constraint agent_events_event_type_check check (
        event_type in (
            'pool_degraded', 'pool_healthy', 'snapshot_created', 'snapshot_failed', 'replication_started',
            'replication_completed', 'replication_failed', 'threshold_exceeded', 'disk_error',
            'agent_started', 'agent_stopped')),
    constraint agent_events_severity_check check (severity in ('info', 'warning', 'error', 'critical')),
    constraint agent_events_acknowledged_by_fkey foreign key (acknowledged_by)
        references profiles (id),
    constraint agent_events_agent_id_fkey foreign key (agent_id)
        references zfs_agents (id) on delete cascade
);
create index idx_agent_events_agent_id on agent_events (agent_id);
create index idx_agent_events_created_at on agent_events (created_at desc);
create index idx_agent_events_severity on agent_events (severity);
alter table agent_events enable row level security;

-- Work done by agents.
create table agent_jobs (
    id                uuid not null default gen_random_uuid(),
    agent_id          uuid not null,
    job_type          text not null,
    status            text not null default 'pending',
    started_at        timestamptz,
    completed_at      timestamptz,
    duration_seconds  integer,
    bytes_transferred bigint,
    details           jsonb default '{}',
    logs              text[],
    error_message     text,
    created_at        timestamptz default now(),
    constraint agent_jobs_pkey primary key (id),
    constraint agent_jobs_job_type_check check (
        job_type in ('snapshot', 'replication', 'export', 'repair', 'prune', 'pool_init', 'health_check')),
    constraint agent_jobs_status_check check (
        status in ('pending', 'running', 'success', 'failed', 'cancelled')),
    constraint agent_jobs_agent_id_fkey foreign key (agent_id)
        references zfs_agents (id) on delete cascade
);
create index idx_agent_jobs_agent_id on agent_jobs (agent_id);
create index idx_agent_jobs_created_at on agent_jobs (created_at desc);
create index idx_agent_jobs_status on agent_jobs (status);
alter table agent_jobs enable row level security;

-- Machines that are replicated and failed over together.
create table protection_groups (
    id                       uuid not null default gen_random_uuid(),
    name                     text not null,
    description              text,
    source_vcenter_id        uuid,
    target_id                uuid,
    protection_datastore     text,
    replication_schedule     text,
    retention_policy         jsonb default '{"daily": 7, "weekly": 4, "monthly": 12}',
    rpo_minutes              integer default 60,
    is_enabled               boolean default true,
    last_replication_at      timestamptz,
    next_replication_at      timestamptz,
    created_by               uuid,
    created_at               timestamptz default now(),
    updated_at               timestamptz default now(),
    replication_pair_id      uuid,
    status                   text default 'initializing',
    priority                 text default 'medium',
    boot_order               jsonb default '[]',
    current_rpo_seconds      integer,
    journal_history_hours    integer default 24,
    test_reminder_days       integer default 30,
    last_test_at             timestamptz,
    paused_at                timestamptz,
    pause_reason             text,
    dr_datastore             text,
    dr_dataset               text,
    sync_in_progress         boolean default false,
    next_scheduled_sync      timestamptz,
    failover_status          text default 'normal',
    last_failover_at         timestamptz,
    last_failover_type       text,
    active_failover_event_id uuid,
    constraint protection_groups_pkey primary key (id),
    constraint protection_groups_replication_pair_id_fkey foreign key (replication_pair_id)
        references replication_pairs (id) on delete set null,
    constraint protection_groups_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete set null,
    constraint protection_groups_target_id_fkey foreign key (target_id)
        references replication_targets (id) on delete set null
);
create index idx_protection_groups_vcenter on protection_groups (source_vcenter_id);
alter table protection_groups enable row level security;
create trigger update_protection_groups_updated_at
    before update on protection_groups
    for each row execute function update_updated_at_column();

-- Machines of a protection group.
create table protected_vms (
    id                    uuid not null default gen_random_uuid(),
    protection_group_id   uuid not null,
    vm_id                 uuid,
    vm_name               text not null,
    vm_vcenter_id         text,
    current_datastore     text,
    target_datastore      text,
    needs_storage_vmotion boolean default false,
    dr_shell_vm_name      text,
    dr_shell_vm_created   boolean default false,
    dr_shell_vm_id        text,
    last_snapshot_at      timestamptz,
    last_replication_at   timestamptz,
    replication_status    text default 'pending',
    status_message        text,
    priority              integer default 100,
    created_at            timestamptz default now(),
    updated_at            timestamptz default now(),
    last_sync_bytes       bigint default 0,
    total_bytes_synced    bigint default 0,
    current_dataset_size  bigint,
    last_snapshot_name    text,
    site_b_verified       boolean default false,
    failover_ready        boolean default false,
    last_failover_check   timestamptz,
    failover_check_result jsonb,
    failover_status       text default 'normal',
    last_failover_at      timestamptz,
    constraint protected_vms_pkey primary key (id),
    constraint protected_vms_protection_group_id_fkey foreign key (protection_group_id)
        references protection_groups (id) on delete cascade,
    constraint protected_vms_vm_id_fkey foreign key (vm_id)
        references vcenter_vms (id) on delete set null
);
create index idx_protected_vms_group on protected_vms (protection_group_id);
create index idx_protected_vms_status on protected_vms (replication_status);
alter table protected_vms enable row level security;
create trigger update_protected_vms_updated_at
    before update on protected_vms
    for each row execute function update_updated_at_column();

-- Network at the source to network at the other site.
create table protection_group_network_mappings (
    id                  uuid not null default gen_random_uuid(),
    protection_group_id uuid not null,
    source_network      text not null,
    target_network      text not null,
    is_test_network     boolean default false,
    created_at          timestamptz default now(),
    updated_at          timestamptz default now(),
    constraint protection_group_network_mappings_pkey primary key (id),
    constraint protection_group_network_mappings_protection_group_id_fkey foreign key (protection_group_id)
        references protection_groups (id) on delete cascade
);
alter table protection_group_network_mappings enable row level security;

-- Runs of a replication.
create table replication_jobs (
    id                  uuid not null default gen_random_uuid(),
    protection_group_id uuid,
    protected_vm_id     uuid,
    job_type            text not null,
    status              text not null default 'pending',
    started_at          timestamptz,
    completed_at        timestamptz,
    bytes_transferred   bigint default 0,
    snapshot_name       text,
    source_snapshot     text,
    target_snapshot     text,
    incremental         boolean default false,
    error_message       text,
    log                 text,
    details             jsonb default '{}',
    created_by          uuid,
    created_at          timestamptz default now(),
    updated_at          timestamptz default now(),
    transfer_rate_mbps  numeric,
    vm_sync_details     jsonb default '[]',
    expected_bytes      bigint,
    site_b_verified     boolean default false,
    incremental_from    text,
    constraint replication_jobs_pkey primary key (id),
    constraint replication_jobs_protected_vm_id_fkey foreign key (protected_vm_id)
        references protected_vms (id) on delete set null,
    constraint replication_jobs_protection_group_id_fkey foreign key (protection_group_id)
        references protection_groups (id) on delete set null
);
create index idx_replication_jobs_created on replication_jobs (created_at desc);
create index idx_replication_jobs_group on replication_jobs (protection_group_id);
create index idx_replication_jobs_status on replication_jobs (status);
create index idx_replication_jobs_status_type on replication_jobs (status, job_type);
alter table replication_jobs enable row level security;
create trigger update_replication_jobs_updated_at
    before update on replication_jobs
    for each row execute function update_updated_at_column();

-- Figures of a group over time.
create table replication_metrics (
    id                  uuid not null default gen_random_uuid(),
    protection_group_id uuid not null,
    timestamp           timestamptz default now(),
    iops                integer,
    throughput_mbps     numeric(10,2),
    wan_traffic_mbps    numeric(10,2),
    current_rpo_seconds integer,
    pending_bytes       bigint default 0,
    journal_used_bytes  bigint default 0,
    constraint replication_metrics_pkey primary key (id),
    constraint replication_metrics_protection_group_id_fkey foreign key (protection_group_id)
        references protection_groups (id) on delete cascade
);
create index idx_replication_metrics_ts on replication_metrics (protection_group_id, "timestamp" desc);
alter table replication_metrics enable row level security;

-- Tests and real failovers.
create table failover_events (
    id                    uuid not null default gen_random_uuid(),
    protection_group_id   uuid not null,
    failover_type         text not null,
    checkpoint_time       timestamptz,
    commit_policy         text default 'manual',
    commit_delay_minutes  integer,
    status                text default 'pending',
    started_at            timestamptz,
    committed_at          timestamptz,
    rolled_back_at        timestamptz,
    reverse_protection    boolean default false,
    shutdown_source_vms   text default 'graceful',
    test_network_id       text,
    vms_recovered         integer default 0,
    error_message         text,
    initiated_by          uuid,
    created_at            timestamptz default now(),
    test_duration_minutes integer,
    cleanup_scheduled_at  timestamptz,
    cleanup_job_id        uuid,
    constraint failover_events_pkey primary key (id),
    constraint failover_events_cleanup_job_id_fkey foreign key (cleanup_job_id)
        references jobs (id),
    constraint failover_events_initiated_by_fkey foreign key (initiated_by)
        references profiles (id) on delete set null,
    constraint failover_events_protection_group_id_fkey foreign key (protection_group_id)
        references protection_groups (id) on delete cascade
);
create index idx_failover_events_group on failover_events (protection_group_id, created_at desc);
alter table failover_events enable row level security;

-- Missed recovery point objectives.
create table sla_violations (
    id                  uuid not null default gen_random_uuid(),
    protection_group_id uuid,
    violation_type      text not null,
    severity            text default 'warning',
    detected_at         timestamptz default now(),
    resolved_at         timestamptz,
    details             jsonb,
    notification_sent   boolean default false,
    created_at          timestamptz default now(),
    constraint sla_violations_pkey primary key (id),
    constraint sla_violations_protection_group_id_fkey foreign key (protection_group_id)
        references protection_groups (id) on delete cascade
);
create index idx_sla_violations_group_type on sla_violations (protection_group_id, violation_type);
create index idx_sla_violations_unresolved on sla_violations (protection_group_id) where resolved_at is null;
alter table sla_violations enable row level security;
