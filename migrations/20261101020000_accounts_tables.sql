-- People: profiles of the users in auth.users, and their roles.

-- One row per user of auth.users, made by handle_new_user(); directory attributes are copied at sign-in.
create table profiles (
    id             uuid not null,
    email          text not null,
    full_name      text,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    idm_source     text default 'local',
    idm_user_dn    text,
    idm_uid        text,
    idm_groups     jsonb,
    last_idm_sync  timestamptz,
    idm_disabled   boolean default false,
    idm_mail       text,
    idm_department text,
    idm_title      text,
    constraint profiles_pkey primary key (id),
    constraint profiles_idm_source_check check (idm_source in ('local', 'freeipa', 'ad_trust')),
    constraint profiles_id_fkey foreign key (id)
        references auth.users (id) on delete cascade
);
alter table profiles enable row level security;
create trigger update_profiles_updated_at
    before update on profiles
    for each row execute function update_updated_at_column();

-- A user may hold several roles; the strongest wins.
create table user_roles (
    id         uuid not null default extensions.uuid_generate_v4(),
    user_id    uuid not null,
    role       app_role not null default 'viewer',
    created_at timestamptz not null default now(),
    constraint user_roles_pkey primary key (id),
    constraint user_roles_user_id_role_key unique (user_id, role),
    constraint user_roles_user_id_fkey foreign key (user_id)
        references profiles (id) on delete cascade
);
alter table user_roles enable row level security;
