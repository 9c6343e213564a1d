-- Directory sign-in (FreeIPA, Active Directory): settings, group mappings, sessions, users given a role in advance.

-- How to reach the directory and what to do when it is away.
create table idm_settings (
    id                         uuid not null default gen_random_uuid(),
    auth_mode                  text not null default 'local_only',
    server_host                text,
    server_port                integer default 389,
    use_ldaps                  boolean default true,
    ldaps_port                 integer default 636,
    base_dn                    text,
    user_search_base           text default 'cn=users,cn=accounts',
    group_search_base          text default 'cn=groups,cn=accounts',
    bind_dn                    text,
    bind_password_encrypted    text,
    sync_enabled               boolean default false,
    sync_interval_minutes      integer default 60,
    last_sync_at               timestamptz,
    last_sync_status           text,
    last_sync_error            text,
    require_ldaps              boolean default true,
    verify_certificate         boolean default true,
    ca_certificate             text,
    session_timeout_minutes    integer default 480,
    max_failed_attempts        integer default 5,
    lockout_duration_minutes   integer default 30,
    failover_behavior          text default 'fail_secure',
    connection_timeout_seconds integer default 10,
    created_at                 timestamptz default now(),
    updated_at                 timestamptz default now(),
    trusted_domains            text[] default '{}',
    ad_dc_host                 text,
    ad_dc_port                 integer default 636,
    ad_dc_use_ssl              boolean default true,
    ad_domain_fqdn             text,
    ad_bind_dn                 text,
    ad_bind_password_encrypted text,
    constraint idm_settings_pkey primary key (id),
    constraint idm_settings_auth_mode_check check (
        auth_mode in ('local_only', 'idm_primary', 'idm_fallback')),
    constraint idm_settings_failover_behavior_check check (
        failover_behavior in ('fail_secure', 'fail_open_read_only', 'local_fallback'))
);
alter table idm_settings enable row level security;
create trigger encrypt_idm_settings_secrets
    before insert or update on idm_settings
    for each row execute function encrypt_secret_columns('bind_password_encrypted', 'ad_bind_password_encrypted');

-- Directory group to role.
create table idm_group_mappings (
    id             uuid not null default gen_random_uuid(),
    idm_group_dn   text not null,
    idm_group_name text not null,
    app_role       app_role not null,
    priority       integer default 100,
    is_active      boolean default true,
    description    text,
    created_at     timestamptz default now(),
    updated_at     timestamptz default now(),
    source         text default 'freeipa',
    constraint idm_group_mappings_pkey primary key (id),
    constraint idm_group_mappings_idm_group_dn_key unique (idm_group_dn),
    constraint idm_group_mappings_source_check check (source in ('freeipa', 'ad'))
);
alter table idm_group_mappings enable row level security;

-- Who signed in through the directory, and until when.
create table idm_auth_sessions (
    id                  uuid not null default gen_random_uuid(),
    user_id             uuid,
    idm_user_dn         text not null,
    idm_uid             text not null,
    idm_groups          jsonb,
    mapped_role         app_role not null,
    auth_method         text default 'ldap_bind',
    session_started_at  timestamptz default now(),
    session_expires_at  timestamptz,
    last_activity_at    timestamptz default now(),
    ip_address          text,
    user_agent          text,
    is_active           boolean default true,
    invalidated_at      timestamptz,
    invalidation_reason text,
    constraint idm_auth_sessions_pkey primary key (id),
    constraint idm_auth_sessions_user_id_fkey foreign key (user_id)
        references profiles (id) on delete cascade
);
alter table idm_auth_sessions enable row level security;

-- Directory users who get a role at their first sign-in.
create table managed_users (
    id           uuid not null default gen_random_uuid(),
    ad_username  text not null,
    ad_domain    text not null,
    display_name text,
    email        text,
    app_role     app_role not null default 'viewer',
    is_active    boolean default true,
    notes        text,
    created_at   timestamptz default now(),
    created_by   uuid,
    updated_at   timestamptz default now(),
    constraint managed_users_pkey primary key (id),
    constraint managed_users_ad_username_ad_domain_key unique (ad_username, ad_domain),
    constraint managed_users_created_by_fkey foreign key (created_by)
        references profiles (id)
);
alter table managed_users enable row level security;
create trigger update_managed_users_updated_at
    before update on managed_users
    for each row execute function update_updated_at_column();

-- Emergency accounts, asleep until an administrator activates them.
create table break_glass_admins (
    id                uuid not null default gen_random_uuid(),
    email             text not null,
    password_hash     text not null,
    full_name         text not null,
    is_active         boolean default false,
    activation_reason text,
    activated_at      timestamptz,
    activated_by      uuid,
    deactivated_at    timestamptz,
    last_used_at      timestamptz,
    use_count         integer default 0,
    created_at        timestamptz default now(),
    created_by        uuid,
    constraint break_glass_admins_pkey primary key (id),
    constraint break_glass_admins_email_key unique (email),
    constraint break_glass_admins_activated_by_fkey foreign key (activated_by)
        references profiles (id),
    constraint break_glass_admins_created_by_fkey foreign key (created_by)
        references profiles (id)
);
alter table break_glass_admins enable row level security;

-- Failed sign-ins per user name, address or emergency account.
create table auth_rate_limits (
    id               uuid not null default gen_random_uuid(),
    identifier       text not null,
    identifier_type  text not null,
    attempt_count    integer default 0,
    first_attempt_at timestamptz default now(),
    last_attempt_at  timestamptz default now(),
    locked_until     timestamptz,
    constraint auth_rate_limits_pkey primary key (id),
    constraint auth_rate_limits_identifier_identifier_type_key unique (identifier, identifier_type),
    constraint auth_rate_limits_identifier_type_check check (
        identifier_type in ('username', 'ip_address', 'break_glass_email'))
);
alter table auth_rate_limits enable row level security;

-- Tokens for scripts; only the SHA-256 of a token is kept.
create table api_tokens (
    id           uuid not null default gen_random_uuid(),
    user_id      uuid not null,
    token_hash   text not null,
    name         text not null,
    last_used_at timestamptz,
    expires_at   timestamptz,
    created_at   timestamptz not null default now(),
    constraint api_tokens_pkey primary key (id),
    constraint api_tokens_token_hash_key unique (token_hash),
    constraint api_tokens_user_id_fkey foreign key (user_id)
        references auth.users (id) on delete cascade
);
alter table api_tokens enable row level security;
