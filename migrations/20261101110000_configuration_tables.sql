-- Configuration of servers: BIOS, iDRAC network, backups of the server profile, virtual media.

-- BIOS attributes as read or wanted.
create table bios_configurations (
    id                 uuid not null default gen_random_uuid(),
    server_id          uuid not null,
    job_id             uuid,
    attributes         jsonb not null,
    pending_attributes jsonb,
    bios_version       text,
    snapshot_type      text not null,
    created_by         uuid,
    notes              text,
    captured_at        timestamptz default now(),
    created_at         timestamptz default now(),
    constraint bios_configurations_pkey primary key (id),
    constraint valid_snapshot_type check (snapshot_type in ('current', 'pending', 'baseline')),
    constraint bios_configurations_created_by_fkey foreign key (created_by)
        references profiles (id),
    constraint bios_configurations_job_id_fkey foreign key (job_id)
        references jobs (id) on delete set null,
    constraint bios_configurations_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_bios_config_created on bios_configurations (created_at desc);
create index idx_bios_config_server on bios_configurations (server_id);
create index idx_bios_config_type on bios_configurations (snapshot_type);
alter table bios_configurations enable row level security;

-- iDRAC network settings as read or wanted.
create table idrac_network_configurations (
    id             uuid not null default gen_random_uuid(),
    server_id      uuid not null,
    job_id         uuid,
    ipv4_enabled   boolean,
    dhcp_enabled   boolean,
    ip_address     text,
    gateway        text,
    netmask        text,
    dns1           text,
    dns2           text,
    dns_from_dhcp  boolean,
    nic_selection  text,
    nic_speed      text,
    nic_duplex     text,
    nic_mtu        integer,
    vlan_enabled   boolean,
    vlan_id        integer,
    vlan_priority  integer,
    ntp_enabled    boolean,
    ntp_server1    text,
    ntp_server2    text,
    ntp_server3    text,
    timezone       text,
    raw_attributes jsonb,
    captured_at    timestamptz default now(),
    created_at     timestamptz default now(),
    created_by     uuid,
    notes          text,
    constraint idrac_network_configurations_pkey primary key (id),
    constraint idrac_network_configurations_created_by_fkey foreign key (created_by)
        references profiles (id),
    constraint idrac_network_configurations_job_id_fkey foreign key (job_id)
        references jobs (id) on delete set null,
    constraint idrac_network_configurations_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_idrac_network_configs_captured_at on idrac_network_configurations (captured_at desc);
create index idx_idrac_network_configs_server_id on idrac_network_configurations (server_id);
alter table idrac_network_configurations enable row level security;

-- Exports of the server configuration profile.
create table scp_backups (
    id                  uuid not null default gen_random_uuid(),
    server_id           uuid not null,
    export_job_id       uuid,
    import_job_id       uuid,
    backup_name         text not null,
    description         text,
    scp_file_path       text,
    scp_file_size_bytes bigint,
    scp_content         jsonb,
    include_bios        boolean default true,
    include_idrac       boolean default true,
    include_nic         boolean default true,
    include_raid        boolean default true,
    checksum            text,
    is_valid            boolean default true,
    validation_errors   text,
    exported_at         timestamptz,
    last_imported_at    timestamptz,
    created_at          timestamptz default now(),
    created_by          uuid,
    scp_checksum        text,
    components          text,
    scp_raw_content     text,
    scp_format          text default 'JSON',
    constraint scp_backups_pkey primary key (id),
    constraint scp_backups_scp_format_check check (scp_format in ('JSON', 'XML')),
    constraint scp_backups_created_by_fkey foreign key (created_by)
        references profiles (id),
    constraint scp_backups_export_job_id_fkey foreign key (export_job_id)
        references jobs (id) on delete set null,
    constraint scp_backups_import_job_id_fkey foreign key (import_job_id)
        references jobs (id) on delete set null,
    constraint scp_backups_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_scp_backups_created on scp_backups (created_at desc);
create index idx_scp_backups_server on scp_backups (server_id);
alter table scp_backups enable row level security;

-- Images mounted on servers.
create table virtual_media_sessions (
    id                       uuid not null default gen_random_uuid(),
    server_id                uuid not null,
    mount_job_id             uuid,
    unmount_job_id           uuid,
    media_type               text not null,
    image_name               text not null,
    remote_image_url         text not null,
    is_mounted               boolean default false,
    inserted                 boolean default false,
    write_protected          boolean default true,
    mounted_at               timestamptz,
    unmounted_at             timestamptz,
    created_at               timestamptz default now(),
    updated_at               timestamptz default now(),
    share_username           text,
    share_password_encrypted text,
    constraint virtual_media_sessions_pkey primary key (id),
    constraint valid_media_type check (media_type in ('CD', 'DVD', 'USBStick', 'Floppy')),
    constraint virtual_media_sessions_mount_job_id_fkey foreign key (mount_job_id)
        references jobs (id) on delete set null,
    constraint virtual_media_sessions_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade,
    constraint virtual_media_sessions_unmount_job_id_fkey foreign key (unmount_job_id)
        references jobs (id) on delete set null
);
create index idx_virtual_media_mounted on virtual_media_sessions (is_mounted);
create index idx_virtual_media_server on virtual_media_sessions (server_id);
alter table virtual_media_sessions enable row level security;
create trigger update_virtual_media_sessions_updated_at
    before update on virtual_media_sessions
    for each row execute function update_updated_at_column();
create trigger encrypt_virtual_media_sessions_secrets
    before insert or update on virtual_media_sessions
    for each row execute function encrypt_secret_columns('share_password_encrypted');
