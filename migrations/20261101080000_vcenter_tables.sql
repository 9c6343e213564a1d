-- What vCenter reports: hosts, clusters, machines, datastores, networks, alarms.

-- Connections to vCenter servers.
create table vcenters (
    id                      uuid not null default gen_random_uuid(),
    name                    text not null,
    datacenter_location     text,
    host                    text not null,
    username                text not null,
    password_encrypted      text,
    port                    integer not null default 443,
    verify_ssl              boolean not null default false,
    sync_enabled            boolean not null default true,
    sync_interval_minutes   integer default 15,
    last_sync               timestamptz,
    last_sync_status        text,
    last_sync_error         text,
    is_primary              boolean default false,
    color                   text default '#6366f1',
    created_at              timestamptz not null default now(),
    updated_at              timestamptz not null default now(),
    site_code               text,
    vm_prefix               text,
    default_zfs_template_id uuid,
    next_sync_at            timestamptz,
    constraint vcenters_pkey primary key (id)
);
create index idx_vcenters_next_sync on vcenters (next_sync_at)
    where sync_enabled = true and next_sync_at is not null;
alter table vcenters enable row level security;
create trigger update_vcenters_updated_at
    before update on vcenters
    for each row execute function update_updated_at_column();
create trigger encrypt_vcenters_secrets
    before insert or update on vcenters
    for each row execute function encrypt_secret_columns('password_encrypted');

-- ESXi hosts, linked to the server they run on by serial number.
create table vcenter_hosts (
    id                uuid not null default extensions.uuid_generate_v4(),
    name              text not null,
    cluster           text,
    vcenter_id        text,
    serial_number     text,
    server_id         uuid,
    esxi_version      text,
    status            text default 'unknown',
    maintenance_mode  boolean default false,
    last_sync         timestamptz,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    source_vcenter_id uuid,
    cpu_usage_mhz     bigint default 0,
    memory_usage_mb   bigint default 0,
    uptime_seconds    bigint default 0,
    memory_size       bigint default 0,
    constraint vcenter_hosts_pkey primary key (id),
    constraint vcenter_hosts_vcenter_source_unique unique (vcenter_id, source_vcenter_id),
    constraint vcenter_hosts_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_vcenter_hosts_cluster on vcenter_hosts (cluster);
create index idx_vcenter_hosts_serial on vcenter_hosts (serial_number);
create index idx_vcenter_hosts_source on vcenter_hosts (source_vcenter_id);
alter table vcenter_hosts enable row level security;
create trigger update_vcenter_hosts_updated_at
    before update on vcenter_hosts
    for each row execute function update_updated_at_column();

-- Clusters with capacity and HA/DRS state.
create table vcenter_clusters (
    id                   uuid not null default gen_random_uuid(),
    cluster_name         text not null,
    vcenter_id           text,
    total_cpu_mhz        bigint,
    used_cpu_mhz         bigint,
    total_memory_bytes   bigint,
    used_memory_bytes    bigint,
    total_storage_bytes  bigint,
    used_storage_bytes   bigint,
    host_count           integer,
    vm_count             integer,
    ha_enabled           boolean default false,
    drs_enabled          boolean default false,
    drs_automation_level text,
    overall_status       text,
    last_sync            timestamptz,
    created_at           timestamptz default now(),
    updated_at           timestamptz default now(),
    source_vcenter_id    uuid,
    constraint vcenter_clusters_pkey primary key (id),
    constraint vcenter_clusters_cluster_name_key unique (cluster_name),
    constraint vcenter_clusters_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_vcenter_clusters_name on vcenter_clusters (cluster_name);
create index idx_vcenter_clusters_source on vcenter_clusters (source_vcenter_id);
alter table vcenter_clusters enable row level security;
create trigger update_vcenter_clusters_updated_at
    before update on vcenter_clusters
    for each row execute function update_updated_at_column();

-- Virtual machines.
create table vcenter_vms (
    id                   uuid not null default gen_random_uuid(),
    name                 text not null,
    vcenter_id           text,
    host_id              uuid,
    cluster_name         text,
    power_state          text,
    guest_os             text,
    cpu_count            integer,
    memory_mb            integer,
    disk_gb              numeric,
    ip_address           text,
    tools_status         text,
    tools_version        text,
    overall_status       text,
    notes                text,
    last_sync            timestamptz,
    created_at           timestamptz default now(),
    updated_at           timestamptz default now(),
    source_vcenter_id    uuid,
    is_template          boolean default false,
    resource_pool        text,
    hardware_version     text,
    folder_path          text,
    snapshot_count       integer default 0,
    guest_id             text,
    firmware             text default 'bios',
    scsi_controller_type text default 'lsilogic',
    constraint vcenter_vms_pkey primary key (id),
    constraint vcenter_vms_name_source_unique unique (name, source_vcenter_id),
    constraint vcenter_vms_vcenter_moref_unique unique (vcenter_id, source_vcenter_id),
    constraint vcenter_vms_host_id_fkey foreign key (host_id)
        references vcenter_hosts (id) on delete set null,
    constraint vcenter_vms_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_vcenter_vms_cluster on vcenter_vms (cluster_name);
create index idx_vcenter_vms_host on vcenter_vms (host_id);
create index idx_vcenter_vms_is_template on vcenter_vms (is_template);
create index idx_vcenter_vms_source on vcenter_vms (source_vcenter_id);
create index idx_vcenter_vms_vcenter_id on vcenter_vms (vcenter_id);
alter table vcenter_vms enable row level security;
create trigger update_vcenter_vms_updated_at
    before update on vcenter_vms
    for each row execute function update_updated_at_column();

-- Snapshots of virtual machines.
create table vcenter_vm_snapshots (
    id                 uuid not null default gen_random_uuid(),
    vm_id              uuid not null,
    snapshot_id        text not null,
    name               text not null,
    description        text,
    created_at         timestamptz,
    size_bytes         bigint default 0,
    is_current         boolean default false,
    parent_snapshot_id text,
    source_vcenter_id  uuid,
    last_sync          timestamptz default now(),
    constraint vcenter_vm_snapshots_pkey primary key (id),
    constraint vcenter_vm_snapshots_vm_id_snapshot_id_key unique (vm_id, snapshot_id),
    constraint vcenter_vm_snapshots_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete set null,
    constraint vcenter_vm_snapshots_vm_id_fkey foreign key (vm_id)
        references vcenter_vms (id) on delete cascade
);
create index idx_vm_snapshots_source on vcenter_vm_snapshots (source_vcenter_id);
create index idx_vm_snapshots_vm_id on vcenter_vm_snapshots (vm_id);
alter table vcenter_vm_snapshots enable row level security;

-- Custom attributes of virtual machines.
create table vcenter_vm_custom_attributes (
    id                uuid not null default gen_random_uuid(),
    vm_id             uuid not null,
    attribute_key     text not null,
    attribute_value   text,
    source_vcenter_id uuid,
    last_sync         timestamptz default now(),
    constraint vcenter_vm_custom_attributes_pkey primary key (id),
    constraint vcenter_vm_custom_attributes_vm_id_attribute_key_key unique (vm_id, attribute_key),
    constraint vcenter_vm_custom_attributes_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete set null,
    constraint vcenter_vm_custom_attributes_vm_id_fkey foreign key (vm_id)
        references vcenter_vms (id) on delete cascade
);
create index idx_vm_custom_attrs_source on vcenter_vm_custom_attributes (source_vcenter_id);
create index idx_vm_custom_attrs_vm_id on vcenter_vm_custom_attributes (vm_id);
alter table vcenter_vm_custom_attributes enable row level security;

-- Datastores with capacity.
create table vcenter_datastores (
    id                    uuid not null default gen_random_uuid(),
    name                  text not null,
    vcenter_id            text,
    type                  text,
    capacity_bytes        bigint,
    free_bytes            bigint,
    accessible            boolean default true,
    maintenance_mode      text,
    vm_count              integer,
    host_count            integer,
    last_sync             timestamptz,
    created_at            timestamptz default now(),
    updated_at            timestamptz default now(),
    source_vcenter_id     uuid,
    replication_target_id uuid,
    constraint vcenter_datastores_pkey primary key (id),
    constraint vcenter_datastores_vcenter_id_source_unique unique (vcenter_id, source_vcenter_id),
    constraint vcenter_datastores_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_datastores_replication_target on vcenter_datastores (replication_target_id);
create index idx_vcenter_datastores_source on vcenter_datastores (source_vcenter_id);
create index idx_vcenter_datastores_vcenter_id on vcenter_datastores (vcenter_id);
alter table vcenter_datastores enable row level security;
create trigger update_vcenter_datastores_updated_at
    before update on vcenter_datastores
    for each row execute function update_updated_at_column();

-- Which host mounts which datastore.
create table vcenter_datastore_hosts (
    id                uuid not null default gen_random_uuid(),
    datastore_id      uuid not null,
    host_id           uuid not null,
    source_vcenter_id uuid,
    mount_path        text,
    accessible        boolean default true,
    read_only         boolean default false,
    last_sync         timestamptz default now(),
    created_at        timestamptz default now(),
    constraint vcenter_datastore_hosts_pkey primary key (id),
    constraint vcenter_datastore_hosts_datastore_id_host_id_key unique (datastore_id, host_id),
    constraint vcenter_datastore_hosts_datastore_id_fkey foreign key (datastore_id)
        references vcenter_datastores (id) on delete cascade,
    constraint vcenter_datastore_hosts_host_id_fkey foreign key (host_id)
        references vcenter_hosts (id) on delete cascade,
    constraint vcenter_datastore_hosts_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_datastore_hosts_datastore on vcenter_datastore_hosts (datastore_id);
create index idx_datastore_hosts_host on vcenter_datastore_hosts (host_id);
create index idx_datastore_hosts_vcenter on vcenter_datastore_hosts (source_vcenter_id);
alter table vcenter_datastore_hosts enable row level security;

-- Which machine lies on which datastore.
create table vcenter_datastore_vms (
    id                   uuid not null default gen_random_uuid(),
    datastore_id         uuid not null,
    vm_id                uuid not null,
    source_vcenter_id    uuid,
    committed_bytes      bigint default 0,
    uncommitted_bytes    bigint default 0,
    is_primary_datastore boolean default false,
    last_sync            timestamptz default now(),
    created_at           timestamptz default now(),
    constraint vcenter_datastore_vms_pkey primary key (id),
    constraint vcenter_datastore_vms_datastore_id_vm_id_key unique (datastore_id, vm_id),
    constraint vcenter_datastore_vms_datastore_id_fkey foreign key (datastore_id)
        references vcenter_datastores (id) on delete cascade,
    constraint vcenter_datastore_vms_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade,
    constraint vcenter_datastore_vms_vm_id_fkey foreign key (vm_id)
        references vcenter_vms (id) on delete cascade
);
create index idx_datastore_vms_datastore on vcenter_datastore_vms (datastore_id);
create index idx_datastore_vms_vcenter on vcenter_datastore_vms (source_vcenter_id);
create index idx_datastore_vms_vm on vcenter_datastore_vms (vm_id);
alter table vcenter_datastore_vms enable row level security;

-- Networks and port groups.
create table vcenter_networks (
    id                 uuid not null default gen_random_uuid(),
    source_vcenter_id  uuid,
    name               text not null,
    vcenter_id         text,
    network_type       text,
    vlan_id            integer,
    vlan_type          text,
    vlan_range         text,
    parent_switch_name text,
    parent_switch_id   text,
    accessible         boolean default true,
    host_count         integer default 0,
    vm_count           integer default 0,
    uplink_port_group  boolean default false,
    last_sync          timestamptz,
    created_at         timestamptz default now(),
    updated_at         timestamptz default now(),
    constraint vcenter_networks_pkey primary key (id),
    constraint vcenter_networks_source_vcenter_id_vcenter_id_key unique (source_vcenter_id, vcenter_id),
    constraint vcenter_networks_vcenter_id_source_unique unique (vcenter_id, source_vcenter_id),
    constraint vcenter_networks_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_vcenter_networks_name on vcenter_networks (name);
create index idx_vcenter_networks_source_vcenter on vcenter_networks (source_vcenter_id);
alter table vcenter_networks enable row level security;
create trigger update_vcenter_networks_updated_at
    before update on vcenter_networks
    for each row execute function update_updated_at_column();

-- Which machine is on which network.
create table vcenter_network_vms (
    id                uuid not null default gen_random_uuid(),
    network_id        uuid not null,
    vm_id             uuid not null,
    source_vcenter_id uuid,
    nic_label         text,
    mac_address       text,
    ip_addresses      text[],
    adapter_type      text,
    connected         boolean default true,
    last_sync         timestamptz default now(),
    created_at        timestamptz default now(),
    constraint vcenter_network_vms_pkey primary key (id),
    constraint vcenter_network_vms_network_id_vm_id_nic_label_key unique (network_id, vm_id, nic_label),
    constraint vcenter_network_vms_network_id_fkey foreign key (network_id)
        references vcenter_networks (id) on delete cascade,
    constraint vcenter_network_vms_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade,
    constraint vcenter_network_vms_vm_id_fkey foreign key (vm_id)
        references vcenter_vms (id) on delete cascade
);
create index idx_vcenter_network_vms_network_id on vcenter_network_vms (network_id);
create index idx_vcenter_network_vms_source_vcenter on vcenter_network_vms (source_vcenter_id);
create index idx_vcenter_network_vms_vm_id on vcenter_network_vms (vm_id);
alter table vcenter_network_vms enable row level security;

-- Alarms that vCenter has raised.
create table vcenter_alarms (
    id                uuid not null default gen_random_uuid(),
    alarm_key         text not null,
    entity_type       text,
    entity_name       text,
    entity_id         text,
    alarm_name        text,
    alarm_status      text,
    acknowledged      boolean default false,
    triggered_at      timestamptz,
    description       text,
    created_at        timestamptz default now(),
    updated_at        timestamptz default now(),
    source_vcenter_id uuid,
    constraint vcenter_alarms_pkey primary key (id),
    constraint vcenter_alarms_alarm_key_key unique (alarm_key),
    constraint vcenter_alarms_source_vcenter_id_fkey foreign key (source_vcenter_id)
        references vcenters (id) on delete cascade
);
create index idx_vcenter_alarms_acknowledged on vcenter_alarms (acknowledged);
create index idx_vcenter_alarms_source on vcenter_alarms (source_vcenter_id);
create index idx_vcenter_alarms_status on vcenter_alarms (alarm_status);
alter table vcenter_alarms enable row level security;
create trigger update_vcenter_alarms_updated_at
    before update on vcenter_alarms
    for each row execute function update_updated_at_column();
