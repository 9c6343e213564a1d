-- Firmware and ESXi updates: packages, images, profiles, what is available, what was done.

-- Update packages in the local repository.
create table firmware_packages (
    id                     uuid not null default gen_random_uuid(),
    filename               text not null,
    file_size_bytes        bigint not null,
    checksum               text,
    local_path             text,
    served_url             text,
    component_type         text not null,
    dell_version           text not null,
    dell_package_version   text,
    applicable_models      text[],
    criticality            text,
    release_date           timestamptz,
    reboot_required        boolean default true,
    description            text,
    tags                   text[],
    created_by             uuid,
    created_at             timestamptz default now(),
    updated_at             timestamptz default now(),
    upload_status          text not null default 'pending',
    upload_progress        integer default 0,
    last_used_at           timestamptz,
    use_count              integer default 0,
    is_baseline            boolean default false,
    baseline_for_models    text[] default '{}',
    component_name_pattern text,
    constraint firmware_packages_pkey primary key (id),
    constraint firmware_packages_created_by_fkey foreign key (created_by)
        references profiles (id)
);
create index idx_firmware_packages_baseline on firmware_packages (is_baseline) where is_baseline = true;
create index idx_firmware_packages_component_type on firmware_packages (component_type);
create index idx_firmware_packages_upload_status on firmware_packages (upload_status);
alter table firmware_packages enable row level security;
create trigger update_firmware_packages_updated_at
    before update on firmware_packages
    for each row execute function update_updated_at_column();

-- ISO images that can be mounted.
create table iso_images (
    id              uuid not null default gen_random_uuid(),
    filename        text not null,
    file_size_bytes bigint not null,
    checksum        text,
    upload_status   text not null default 'pending',
    upload_progress integer default 0,
    local_path      text,
    served_url      text,
    description     text,
    tags            text[] default '{}',
    last_mounted_at timestamptz,
    mount_count     integer default 0,
    created_by      uuid,
    created_at      timestamptz default now(),
    updated_at      timestamptz default now(),
    source_type     text default 'upload',
    source_url      text,
    constraint iso_images_pkey primary key (id),
    constraint iso_images_source_type_check check (source_type in ('local', 'url', 'upload')),
    constraint iso_images_upload_progress_check check (upload_progress between 0 and 100),
    constraint iso_images_upload_status_check check (
        upload_status in ('pending', 'uploading', 'ready', 'error')),
    constraint iso_images_created_by_fkey foreign key (created_by)
        references profiles (id)
);
create index idx_iso_images_filename on iso_images (filename);
create index idx_iso_images_tags on iso_images using gin (tags);
create index idx_iso_images_upload_status on iso_images (upload_status);
alter table iso_images enable row level security;
create trigger update_iso_images_updated_at
    before update on iso_images
    for each row execute function update_updated_at_column();

-- Wanted ESXi versions with their bundle.
create table esxi_upgrade_profiles (
    id                 uuid not null default gen_random_uuid(),
    name               text not null,
    description        text,
    target_version     text not null,
    bundle_path        text not null,
    profile_name       text not null,
    datastore_name     text,
    min_source_version text,
    release_date       date,
    is_active          boolean default true,
    created_at         timestamptz default now(),
    updated_at         timestamptz default now(),
    created_by         uuid,
    constraint esxi_upgrade_profiles_pkey primary key (id),
    constraint esxi_upgrade_profiles_created_by_fkey foreign key (created_by)
        references profiles (id) on delete set null
);
create index idx_esxi_profiles_active on esxi_upgrade_profiles (is_active) where is_active = true;
alter table esxi_upgrade_profiles enable row level security;
create trigger update_esxi_upgrade_profiles_updated_at
    before update on esxi_upgrade_profiles
    for each row execute function update_updated_at_column();

-- ESXi upgrades done.
create table esxi_upgrade_history (
    id              uuid not null default gen_random_uuid(),
    vcenter_host_id uuid,
    server_id       uuid,
    job_id          uuid,
    profile_id      uuid,
    version_before  text not null,
    version_after   text,
    started_at      timestamptz default now(),
    completed_at    timestamptz,
    status          text default 'pending',
    error_message   text,
    ssh_output      text,
    created_at      timestamptz default now(),
    constraint esxi_upgrade_history_pkey primary key (id),
    constraint esxi_upgrade_history_job_id_fkey foreign key (job_id)
        references jobs (id) on delete set null,
    constraint esxi_upgrade_history_profile_id_fkey foreign key (profile_id)
        references esxi_upgrade_profiles (id) on delete set null,
    constraint esxi_upgrade_history_server_id_fkey foreign key (server_id)
        references servers (id) on delete set null,
    constraint esxi_upgrade_history_vcenter_host_id_fkey foreign key (vcenter_host_id)
        references vcenter_hosts (id) on delete cascade
);
create index idx_esxi_history_job on esxi_upgrade_history (job_id);
create index idx_esxi_history_status on esxi_upgrade_history (status);
create index idx_esxi_history_vcenter_host on esxi_upgrade_history (vcenter_host_id);
alter table esxi_upgrade_history enable row level security;

-- Scans for available updates.
create table update_availability_scans (
    id                uuid not null default gen_random_uuid(),
    scan_type         text not null,
    target_id         text,
    target_name       text,
    target_server_ids uuid[],
    firmware_source   text not null,
    status            text not null default 'pending',
    started_at        timestamptz,
    completed_at      timestamptz,
    created_by        uuid,
    created_at        timestamptz default now(),
    summary           jsonb default '{}',
    error_message     text,
    constraint update_availability_scans_pkey primary key (id),
    constraint update_availability_scans_firmware_source_check check (
        firmware_source in ('local_repository', 'dell_online_catalog')),
    constraint update_availability_scans_scan_type_check check (
        scan_type in ('cluster', 'group', 'servers', 'single_host')),
    constraint update_availability_scans_status_check check (
        status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
    constraint update_availability_scans_created_by_fkey foreign key (created_by)
        references auth.users (id)
);
create index idx_update_scans_created on update_availability_scans (created_at desc);
create index idx_update_scans_status on update_availability_scans (status);
create index idx_update_scans_target on update_availability_scans (scan_type, target_id);
alter table update_availability_scans enable row level security;

-- Per server: what a scan found.
create table update_availability_results (
    id                    uuid not null default gen_random_uuid(),
    scan_id               uuid not null,
    server_id             uuid,
    vcenter_host_id       uuid,
    hostname              text,
    server_model          text,
    service_tag           text,
    esxi_version          text,
    esxi_update_available boolean default false,
    esxi_target_version   text,
    firmware_components   jsonb default '[]',
    total_components      integer default 0,
    updates_available     integer default 0,
    critical_updates      integer default 0,
    up_to_date            integer default 0,
    not_in_catalog        integer default 0,
    blockers              jsonb default '[]',
    scan_status           text default 'pending',
    scanned_at            timestamptz,
    created_at            timestamptz default now(),
    constraint update_availability_results_pkey primary key (id),
    constraint update_availability_results_scan_status_check check (
        scan_status in ('pending', 'scanning', 'completed', 'failed', 'skipped')),
    constraint update_availability_results_scan_id_fkey foreign key (scan_id)
        references update_availability_scans (id) on delete cascade,
    constraint update_availability_results_server_id_fkey foreign key (server_id)
        references servers (id) on delete set null,
    constraint update_availability_results_vcenter_host_id_fkey foreign key (vcenter_host_id)
        references vcenter_hosts (id) on delete set null
);
create index idx_update_results_host on update_availability_results (vcenter_host_id);
create index idx_update_results_scan on update_availability_results (scan_id);
create index idx_update_results_server on update_availability_results (server_id);
alter table update_availability_results enable row level security;
