-- Credentials for devices: sets with the address ranges they serve, SSH keys and where they are deployed.

-- User name and password for a kind of device, tried in the order of priority.
create table credential_sets (
    id                 uuid not null default gen_random_uuid(),
    name               text not null,
    username           text not null,
    password_encrypted text,
    description        text,
    is_default         boolean default false,
    priority           integer default 100,
    created_at         timestamptz default now(),
    updated_at         timestamptz default now(),
    credential_type    credential_type not null default 'idrac',
    vcenter_host_id    uuid,
    constraint credential_sets_pkey primary key (id),
    constraint credential_sets_name_key unique (name)
);
create index idx_credential_sets_type on credential_sets (credential_type);
create index idx_credential_sets_vcenter_host on credential_sets (vcenter_host_id);
alter table credential_sets enable row level security;
create trigger update_credential_sets_updated_at
    before update on credential_sets
    for each row execute function update_updated_at_column();
create trigger encrypt_credential_sets_secrets
    before insert or update on credential_sets
    for each row execute function encrypt_secret_columns('password_encrypted');

-- Address ranges for which a credential set is tried.
create table credential_ip_ranges (
    id                uuid not null default gen_random_uuid(),
    credential_set_id uuid not null,
    ip_range          text not null,
    description       text,
    priority          integer default 100,
    created_at        timestamptz default now(),
    updated_at        timestamptz default now(),
    constraint credential_ip_ranges_pkey primary key (id),
    constraint credential_ip_ranges_credential_set_id_fkey foreign key (credential_set_id)
        references credential_sets (id) on delete cascade
);
create index idx_credential_ip_ranges_credential_set on credential_ip_ranges (credential_set_id);
alter table credential_ip_ranges enable row level security;
create trigger update_credential_ip_ranges_updated_at
    before update on credential_ip_ranges
    for each row execute function update_updated_at_column();

-- Key pairs for the storage targets.
create table ssh_keys (
    id                     uuid not null default gen_random_uuid(),
    name                   text not null,
    description            text,
    key_type               text not null default 'ed25519',
    public_key             text not null,
    public_key_fingerprint text not null,
    private_key_encrypted  text not null,
    status                 text not null default 'pending',
    created_at             timestamptz not null default now(),
    created_by             uuid,
    activated_at           timestamptz,
    expires_at             timestamptz,
    revoked_at             timestamptz,
    revoked_by             uuid,
    revocation_reason      text,
    last_used_at           timestamptz,
    use_count              integer default 0,
    updated_at             timestamptz not null default now(),
    key_algorithm          text default 'ed25519',
    constraint ssh_keys_pkey primary key (id),
    constraint ssh_keys_status_check check (status in ('pending', 'active', 'revoked', 'expired')),
    constraint ssh_keys_created_by_fkey foreign key (created_by)
        references profiles (id),
    constraint ssh_keys_revoked_by_fkey foreign key (revoked_by)
        references profiles (id)
);
create index idx_ssh_keys_created_by on ssh_keys (created_by);
create index idx_ssh_keys_fingerprint on ssh_keys (public_key_fingerprint);
create index idx_ssh_keys_status on ssh_keys (status);
alter table ssh_keys enable row level security;
create trigger update_ssh_keys_updated_at
    before update on ssh_keys
    for each row execute function update_updated_at_column();
create trigger encrypt_ssh_keys_secrets
    before insert or update on ssh_keys
    for each row execute function encrypt_secret_columns('private_key_encrypted');

-- Where a key was put: a target or a template.
create table ssh_key_deployments (
    id                    uuid not null default gen_random_uuid(),
    ssh_key_id            uuid not null,
    replication_target_id uuid,
    zfs_template_id       uuid,
    status                text not null default 'pending',
    deployed_at           timestamptz,
    verified_at           timestamptz,
    removed_at            timestamptz,
    last_error            text,
    retry_count           integer default 0,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    constraint ssh_key_deployments_pkey primary key (id),
    constraint ssh_key_deployment_target_check check (
        (replication_target_id is not null and zfs_template_id is null)
        or (replication_target_id is null and zfs_template_id is not null)),
    constraint ssh_key_deployments_status_check check (
        status in ('pending', 'deployed', 'verified', 'failed', 'removed')),
    constraint ssh_key_deployments_ssh_key_id_fkey foreign key (ssh_key_id)
        references ssh_keys (id) on delete cascade
);
create index idx_ssh_key_deployments_key on ssh_key_deployments (ssh_key_id);
create index idx_ssh_key_deployments_status on ssh_key_deployments (status);
alter table ssh_key_deployments enable row level security;
create trigger update_ssh_key_deployments_updated_at
    before update on ssh_key_deployments
    for each row execute function update_updated_at_column();
