-- A small project on a bare Supabase-like database: what tests/integration/run-ops dumps and imports. Some tables carry names of
-- the product's, with fewer columns, another column of their own, an old ciphertext and values in clear.

insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
                        created_at, updated_at, confirmation_token, recovery_token, email_change_token_new, email_change)
values ('00000000-0000-0000-0000-000000000000', '11111111-1111-4111-8111-111111111111', 'authenticated', 'authenticated',
        'moved@example.org', extensions.crypt('Moved-In-2026', extensions.gen_salt('bf', 6)), now(),
        '{"provider":"email","providers":["email"]}', '{}', now(), now(), '', '', '', '');
insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
values ('11111111-1111-4111-8111-111111111111', '11111111-1111-4111-8111-111111111111',
        '{"sub":"11111111-1111-4111-8111-111111111111","email":"moved@example.org"}', 'email', now(), now());
insert into storage.buckets (id, name, public) values ('papers', 'papers', true);
insert into storage.objects (bucket_id, name, owner) values ('papers', 'a/b.txt', '11111111-1111-4111-8111-111111111111');
create policy "own papers" on storage.objects for select to authenticated using (owner = auth.uid());

set role postgres;
create type public.app_role as enum ('admin', 'operator', 'viewer');
create table public.profiles (
    id        uuid primary key references auth.users on delete cascade,
    email     text not null,
    full_name text,
    nickname  text
);
create table public.user_roles (
    id      uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users on delete cascade,
    role    public.app_role not null,
    unique (user_id, role)
);
create table public.activity_settings (
    id             uuid primary key default gen_random_uuid(),
    encryption_key text
);
create table public.notification_settings (
    id            uuid primary key default gen_random_uuid(),
    smtp_host     text,
    smtp_password text
);
create table public.openmanage_settings (
    id       uuid primary key default gen_random_uuid(),
    name     text,
    host     text,
    username text,
    password text
);
create table public.diary (
    id   bigserial primary key,
    day  date not null,
    text text
);
alter table public.diary enable row level security;
create policy "everybody reads" on public.diary for select using (true);
alter publication supabase_realtime add table public.diary;

insert into public.profiles values ('11111111-1111-4111-8111-111111111111', 'moved@example.org', 'Mo Ved', 'mo');
insert into public.user_roles (user_id, role) values ('11111111-1111-4111-8111-111111111111', 'operator');
insert into public.activity_settings (encryption_key) values (encode('0123456789abcdef0123456789abcdef', 'base64'));
insert into public.notification_settings (smtp_host, smtp_password) values ('mail.example.org', 'smtp-in-clear');
insert into public.openmanage_settings (name, host, username, password)
values ('ome', 'ome.example.org', 'admin', encode(extensions.encrypt('old-cipher', '0123456789abcdef0123456789abcdef', 'aes'), 'base64'));
-- Lines that would be SQL, or the end of the data, if anybody took them for that.
insert into public.diary (day, text) values
    ('2026-01-01', E'$$; drop table auth.users; --'), ('2026-01-02', E'\\.'), ('2026-01-03', E'tab\t and\nline');

create function public.greet_new_user() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into public.diary (day, text) values (current_date, 'welcome ' || new.email);
    return new;
end
$$;
create trigger greet after insert on auth.users for each row execute function public.greet_new_user();
select cron.schedule('nightly', '0 3 * * *', 'delete from public.diary where day < current_date - 365');
