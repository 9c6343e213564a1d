-- Settings, one row per table: housekeeping, network, notifications, iDRAC, OpenManage, vCenter, virtual media.

-- Housekeeping, logging and executor settings. Also holds the key that encrypts every stored secret.
create table activity_settings (
    id                               uuid not null default gen_random_uuid(),
    created_at                       timestamptz not null default now(),
    updated_at                       timestamptz not null default now(),
    log_retention_days               integer not null default 30,
    auto_cleanup_enabled             boolean not null default true,
    last_cleanup_at                  timestamptz,
    log_level                        text not null default 'all',
    slow_command_threshold_ms        integer not null default 5000,
    max_request_body_kb              integer not null default 100,
    max_response_body_kb             integer not null default 100,
    alert_on_failures                boolean not null default true,
    alert_on_slow_commands           boolean not null default false,
    keep_statistics                  boolean not null default true,
    statistics_retention_days        integer not null default 365,
    job_retention_days               integer default 90,
    job_auto_cleanup_enabled         boolean default true,
    job_last_cleanup_at              timestamptz,
    stale_pending_hours              integer default 24,
    stale_running_hours              integer default 48,
    auto_cancel_stale_jobs           boolean default true,
    use_job_executor_for_idrac       boolean default true,
    encryption_key                   text,
    pause_idrac_operations           boolean default false,
    discovery_max_threads            integer default 5,
    idrac_request_delay_ms           integer default 500,
    idrac_max_concurrent             integer default 4,
    scp_share_enabled                boolean default false,
    scp_share_type                   text default 'CIFS',
    scp_share_path                   text,
    scp_share_username               text,
    scp_share_password_encrypted     text,
    job_executor_url                 text default 'http://localhost:8081',
    show_sla_monitoring_jobs         boolean default false,
    executor_shared_secret_encrypted text,
    constraint activity_settings_pkey primary key (id),
    constraint activity_settings_scp_share_type_check check (scp_share_type in ('CIFS', 'NFS'))
);
create unique index idx_activity_settings_singleton on activity_settings ((true));
alter table activity_settings enable row level security;
create trigger update_activity_settings_updated_at
    before update on activity_settings
    for each row execute function update_updated_at_column();
create trigger encrypt_activity_settings_secrets
    before insert or update on activity_settings
    for each row execute function encrypt_secret_columns('scp_share_password_encrypted', 'executor_shared_secret_encrypted');

-- Timeouts, retries and limits for calls to devices.
create table network_settings (
    id                         uuid not null default gen_random_uuid(),
    created_at                 timestamptz not null default now(),
    updated_at                 timestamptz not null default now(),
    connection_timeout_seconds integer not null default 30,
    read_timeout_seconds       integer not null default 60,
    operation_timeout_seconds  integer not null default 300,
    max_retry_attempts         integer not null default 3,
    retry_backoff_type         text not null default 'exponential',
    retry_delay_seconds        integer not null default 2,
    max_concurrent_connections integer not null default 5,
    max_requests_per_minute    integer not null default 60,
    require_prereq_validation  boolean not null default true,
    monitor_latency            boolean not null default true,
    latency_alert_threshold_ms integer not null default 1000,
    constraint network_settings_pkey primary key (id),
    constraint network_settings_retry_backoff_type_check check (
        retry_backoff_type in ('exponential', 'linear', 'fixed'))
);
alter table network_settings enable row level security;
create trigger update_network_settings_updated_at
    before update on network_settings
    for each row execute function update_updated_at_column();

-- Where and when to notify: mail, Teams.
create table notification_settings (
    id                              uuid not null default gen_random_uuid(),
    smtp_host                       text,
    smtp_port                       integer default 587,
    smtp_user                       text,
    smtp_password                   text,
    smtp_from_email                 text,
    teams_webhook_url               text,
    notify_on_job_complete          boolean default true,
    notify_on_job_failed            boolean default true,
    notify_on_job_started           boolean default false,
    created_at                      timestamptz not null default now(),
    updated_at                      timestamptz not null default now(),
    teams_mention_users             text,
    mention_on_critical_failures    boolean default true,
    critical_job_types              text[] default '{firmware_update,full_server_update}',
    notify_on_unsafe_cluster        boolean default true,
    notify_on_cluster_warning       boolean default false,
    notify_on_cluster_status_change boolean default true,
    constraint notification_settings_pkey primary key (id)
);
alter table notification_settings enable row level security;
create trigger update_notification_settings_updated_at
    before update on notification_settings
    for each row execute function update_updated_at_column();
create trigger encrypt_notification_settings_secrets
    before insert or update on notification_settings
    for each row execute function encrypt_secret_columns('smtp_password', 'teams_webhook_url');

-- Defaults for calls to iDRAC.
create table idrac_settings (
    id                       uuid not null default gen_random_uuid(),
    fetch_firmware           boolean not null default true,
    fetch_health             boolean not null default true,
    fetch_bios               boolean not null default true,
    fetch_storage            boolean not null default true,
    fetch_nics               boolean not null default true,
    fetch_scp_backup         boolean not null default false,
    auto_sync_enabled        boolean not null default false,
    sync_interval_minutes    integer not null default 60,
    last_sync_at             timestamptz,
    next_sync_at             timestamptz,
    created_at               timestamptz not null default now(),
    updated_at               timestamptz not null default now(),
    scp_backup_max_age_days  integer default 30,
    scp_backup_only_if_stale boolean default true,
    fetch_memory             boolean not null default true,
    constraint idrac_settings_pkey primary key (id)
);
alter table idrac_settings enable row level security;
create trigger update_idrac_settings_updated_at
    before update on idrac_settings
    for each row execute function update_updated_at_column();

-- Connection to OpenManage Enterprise.
create table openmanage_settings (
    id           uuid not null default gen_random_uuid(),
    host         text not null,
    port         integer not null default 443,
    username     text not null,
    password     text,
    verify_ssl   boolean not null default true,
    sync_enabled boolean not null default false,
    last_sync    timestamptz,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    constraint openmanage_settings_pkey primary key (id)
);
alter table openmanage_settings enable row level security;
create trigger update_openmanage_settings_updated_at
    before update on openmanage_settings
    for each row execute function update_updated_at_column();
create trigger encrypt_openmanage_settings_secrets
    before insert or update on openmanage_settings
    for each row execute function encrypt_secret_columns('password');

-- The single vCenter of older installations; vcenters replaces it.
create table vcenter_settings (
    id           uuid not null default gen_random_uuid(),
    host         text not null,
    username     text not null,
    password     text,
    port         integer not null default 443,
    verify_ssl   boolean not null default true,
    sync_enabled boolean not null default false,
    last_sync    timestamptz,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    constraint vcenter_settings_pkey primary key (id)
);
alter table vcenter_settings enable row level security;
create trigger update_vcenter_settings_updated_at
    before update on vcenter_settings
    for each row execute function update_updated_at_column();
create trigger encrypt_vcenter_settings_secrets
    before insert or update on vcenter_settings
    for each row execute function encrypt_secret_columns('password');

-- Share from which ISO images are mounted.
create table virtual_media_settings (
    id          uuid not null default gen_random_uuid(),
    share_type  text not null default 'nfs',
    host        text not null,
    export_path text,
    iso_path    text,
    use_auth    boolean not null default false,
    username    text,
    password    text,
    notes       text,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint virtual_media_settings_pkey primary key (id)
);
alter table virtual_media_settings enable row level security;
create trigger update_virtual_media_settings_updated_at
    before update on virtual_media_settings
    for each row execute function update_updated_at_column();
create trigger encrypt_virtual_media_settings_secrets
    before insert or update on virtual_media_settings
    for each row execute function encrypt_secret_columns('password');
