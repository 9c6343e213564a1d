-- Servers and what their iDRAC reports.

-- One row per physical server, known by the address of its iDRAC.
create table servers (
    id                              uuid not null default extensions.uuid_generate_v4(),
    ip_address                      text not null,
    hostname                        text,
    model                           text,
    service_tag                     text,
    idrac_firmware                  text,
    bios_version                    text,
    cpu_count                       integer,
    memory_gb                       integer,
    last_seen                       timestamptz,
    vcenter_host_id                 uuid,
    notes                           text,
    created_at                      timestamptz not null default now(),
    updated_at                      timestamptz not null default now(),
    openmanage_device_id            text,
    last_openmanage_sync            timestamptz,
    last_connection_test            timestamptz,
    connection_status               text,
    connection_error                text,
    idrac_username                  text,
    idrac_password_encrypted        text,
    credential_last_tested          timestamptz,
    credential_test_status          text,
    discovered_by_credential_set_id uuid,
    discovery_job_id                uuid,
    credential_set_id               uuid,
    manager_mac_address             text,
    product_name                    text,
    manufacturer                    text default 'Dell',
    redfish_version                 text,
    supported_endpoints             jsonb,
    power_state                     text,
    overall_health                  text,
    last_health_check               timestamptz,
    boot_mode                       text,
    boot_source_override_enabled    text,
    boot_source_override_target     text,
    boot_order                      jsonb,
    last_boot_config_check          timestamptz,
    cpu_model                       text,
    cpu_cores_per_socket            integer,
    cpu_speed                       text,
    secure_boot                     text,
    virtualization_enabled          boolean,
    total_drives                    integer,
    total_storage_tb                numeric,
    idrac_sync_enabled              boolean,
    idrac_sync_interval_minutes     integer,
    idrac_fetch_options             jsonb,
    last_idrac_sync                 timestamptz,
    next_idrac_sync_at              timestamptz,
    requires_legacy_ssl             boolean default false,
    datacenter                      text,
    rack_id                         text,
    rack_position                   text,
    row_aisle                       text,
    room_floor                      text,
    location_notes                  text,
    idrac_hostname                  text,
    constraint servers_pkey primary key (id),
    constraint servers_ip_address_key unique (ip_address),
    constraint servers_service_tag_key unique (service_tag),
    constraint servers_connection_status_check check (connection_status in ('online', 'offline', 'unknown')),
    constraint servers_credential_test_status_check check (
        credential_test_status in ('valid', 'invalid', 'unknown')),
    constraint fk_servers_vcenter_host foreign key (vcenter_host_id)
        references vcenter_hosts (id) on delete set null,
    constraint servers_credential_set_id_fkey foreign key (credential_set_id)
        references credential_sets (id) on delete set null,
    constraint servers_discovered_by_credential_set_id_fkey foreign key (discovered_by_credential_set_id)
        references credential_sets (id) on delete set null
);
create index idx_servers_datacenter on servers (datacenter);
create index idx_servers_ip_address on servers (ip_address);
create index idx_servers_rack_id on servers (rack_id);
create index idx_servers_service_tag on servers (service_tag);
alter table servers enable row level security;
create trigger update_servers_updated_at
    before update on servers
    for each row execute function update_updated_at_column();
create trigger encrypt_servers_secrets
    before insert or update on servers
    for each row execute function encrypt_secret_columns('idrac_password_encrypted');

-- Groups of servers that must not go down together.
create table server_groups (
    id                  uuid not null default gen_random_uuid(),
    name                text not null,
    description         text,
    group_type          text not null default 'application',
    color               text default '#3b82f6',
    icon                text default 'Server',
    min_healthy_servers integer default 1,
    created_by          uuid,
    created_at          timestamptz default now(),
    updated_at          timestamptz default now(),
    constraint server_groups_pkey primary key (id),
    constraint server_groups_name_key unique (name),
    constraint server_groups_created_by_fkey foreign key (created_by)
        references profiles (id)
);
alter table server_groups enable row level security;
create trigger update_server_groups_updated_at
    before update on server_groups
    for each row execute function update_updated_at_column();

-- Servers of a group.
create table server_group_members (
    id              uuid not null default gen_random_uuid(),
    server_group_id uuid,
    server_id       uuid,
    role            text,
    priority        integer default 100,
    added_at        timestamptz default now(),
    constraint server_group_members_pkey primary key (id),
    constraint server_group_members_server_group_id_server_id_key unique (server_group_id, server_id),
    constraint server_group_members_server_group_id_fkey foreign key (server_group_id)
        references server_groups (id) on delete cascade,
    constraint server_group_members_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_server_group_members_group on server_group_members (server_group_id);
create index idx_server_group_members_server on server_group_members (server_id);
alter table server_group_members enable row level security;

-- Health readings over time.
create table server_health (
    id                  uuid not null default gen_random_uuid(),
    server_id           uuid not null,
    timestamp           timestamptz not null default now(),
    power_state         text,
    overall_health      text,
    temperature_celsius numeric,
    fan_health          text,
    psu_health          text,
    storage_health      text,
    memory_health       text,
    network_health      text,
    sensors             jsonb,
    created_at          timestamptz not null default now(),
    cpu_health          text,
    constraint server_health_pkey primary key (id),
    constraint server_health_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_server_health_server_id on server_health (server_id);
create index idx_server_health_timestamp on server_health ("timestamp" desc);
alter table server_health enable row level security;

-- Entries of the lifecycle and system event logs.
create table server_event_logs (
    id            uuid not null default gen_random_uuid(),
    server_id     uuid not null,
    event_id      text,
    timestamp     timestamptz not null,
    severity      text,
    message       text,
    category      text,
    sensor_type   text,
    sensor_number text,
    raw_data      jsonb,
    created_at    timestamptz not null default now(),
    constraint server_event_logs_pkey primary key (id),
    constraint server_event_logs_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_server_event_logs_server_id on server_event_logs (server_id);
create index idx_server_event_logs_severity on server_event_logs (severity);
create index idx_server_event_logs_timestamp on server_event_logs ("timestamp" desc);
alter table server_event_logs enable row level security;

-- Physical drives.
create table server_drives (
    id                       uuid not null default gen_random_uuid(),
    server_id                uuid not null,
    name                     text,
    manufacturer             text,
    model                    text,
    serial_number            text,
    part_number              text,
    media_type               text,
    protocol                 text,
    capacity_bytes           bigint,
    capacity_gb              numeric,
    slot                     text,
    enclosure                text,
    controller               text,
    health                   text,
    status                   text,
    predicted_failure        boolean default false,
    life_remaining_percent   integer,
    firmware_version         text,
    rotation_speed_rpm       integer,
    capable_speed_gbps       numeric,
    last_sync                timestamptz default now(),
    created_at               timestamptz default now(),
    drive_identifier         text not null,
    volume_id                text,
    volume_name              text,
    raid_level               text,
    wwn                      text,
    naa                      text,
    span_depth               integer,
    span_length              integer,
    last_known_serial_number text,
    failed_at                timestamptz,
    first_seen_at            timestamptz default now(),
    constraint server_drives_pkey primary key (id),
    constraint server_drives_server_id_drive_identifier_key unique (server_id, drive_identifier),
    constraint server_drives_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_server_drives_failed on server_drives (server_id)
    where health = 'Critical' or status in ('Disabled', 'UnavailableOffline') or predicted_failure = true;
create index idx_server_drives_identifier on server_drives (drive_identifier);
create index idx_server_drives_media_type on server_drives (media_type);
create index idx_server_drives_server_id on server_drives (server_id);
alter table server_drives enable row level security;

-- Network ports.
create table server_nics (
    id                      uuid not null default gen_random_uuid(),
    server_id               uuid not null,
    fqdd                    text not null,
    name                    text,
    description             text,
    mac_address             text,
    permanent_mac_address   text,
    manufacturer            text,
    model                   text,
    serial_number           text,
    part_number             text,
    firmware_version        text,
    port_id                 text,
    link_status             text,
    current_speed_mbps      integer,
    max_speed_mbps          integer,
    duplex                  text,
    auto_negotiate          boolean,
    mtu                     integer,
    switch_connection_id    text,
    switch_port_description text,
    switch_name             text,
    ipv4_addresses          jsonb,
    ipv6_addresses          jsonb,
    vlan_id                 integer,
    health                  text,
    status                  text,
    last_sync               timestamptz default now(),
    created_at              timestamptz default now(),
    updated_at              timestamptz default now(),
    constraint server_nics_pkey primary key (id),
    constraint server_nics_server_id_fqdd_key unique (server_id, fqdd),
    constraint server_nics_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_server_nics_fqdd on server_nics (fqdd);
create index idx_server_nics_mac_address on server_nics (mac_address);
create index idx_server_nics_server_id on server_nics (server_id);
alter table server_nics enable row level security;
create trigger update_server_nics_updated_at
    before update on server_nics
    for each row execute function update_updated_at_column();

-- Memory modules.
create table server_memory (
    id                   uuid not null default gen_random_uuid(),
    server_id            uuid not null,
    dimm_identifier      text not null,
    slot_name            text,
    manufacturer         text,
    part_number          text,
    serial_number        text,
    capacity_mb          integer,
    speed_mhz            integer,
    memory_type          text,
    rank_count           integer,
    health               text,
    status               text,
    operating_speed_mhz  integer,
    error_correction     text,
    volatile_size_mb     integer,
    non_volatile_size_mb integer,
    last_updated_at      timestamptz default now(),
    created_at           timestamptz default now(),
    constraint server_memory_pkey primary key (id),
    constraint unique_server_dimm unique (server_id, dimm_identifier),
    constraint server_memory_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_server_memory_health on server_memory (health);
create index idx_server_memory_server_id on server_memory (server_id);
alter table server_memory enable row level security;

-- Installed firmware versions.
create table server_firmware_inventory (
    id                 uuid not null default gen_random_uuid(),
    server_id          uuid not null,
    job_id             uuid,
    collected_at       timestamptz not null default now(),
    component_id       text not null,
    component_name     text not null,
    component_type     text,
    version            text not null,
    updateable         boolean default true,
    status             text,
    device_id          text,
    component_category text,
    created_at         timestamptz not null default now(),
    constraint server_firmware_inventory_pkey primary key (id),
    constraint unique_component_per_collection unique (server_id, component_id, collected_at),
    constraint server_firmware_inventory_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_firmware_inventory_category on server_firmware_inventory (component_category);
create index idx_firmware_inventory_collected on server_firmware_inventory (collected_at desc);
create index idx_firmware_inventory_job on server_firmware_inventory (job_id);
create index idx_firmware_inventory_server on server_firmware_inventory (server_id);
create index idx_firmware_inventory_version on server_firmware_inventory (version);
alter table server_firmware_inventory enable row level security;

-- Changes of the boot configuration.
create table server_boot_config_history (
    id                           uuid not null default gen_random_uuid(),
    server_id                    uuid not null,
    timestamp                    timestamptz not null default now(),
    boot_mode                    text,
    boot_source_override_enabled text,
    boot_source_override_target  text,
    boot_order                   jsonb,
    changed_by                   uuid,
    job_id                       uuid,
    created_at                   timestamptz not null default now(),
    constraint server_boot_config_history_pkey primary key (id),
    constraint server_boot_config_history_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_boot_config_history_server_id on server_boot_config_history (server_id);
create index idx_boot_config_history_timestamp on server_boot_config_history ("timestamp" desc);
alter table server_boot_config_history enable row level security;
