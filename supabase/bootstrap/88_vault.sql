-- Secrets in SQL as the extension supabase_vault offers them: schema, columns, functions and their arguments are the
-- same. Provided where the server does not have the extension.
--
-- A secret is base64(AES-256-CBC with PKCS#7 | HMAC-SHA-256 over id, nonce and ciphertext); the initialisation vector is
-- the column nonce. Both keys come from the one in basalt.vault_key, which no API role can reach. Roles of the API have
-- no rights here: a project that wants to read a secret for them does so in a SECURITY DEFINER function of postgres.

set local client_min_messages = warning;

select not exists (select from pg_available_extensions where name = 'supabase_vault')
       and not exists (select from pg_extension where extname = 'supabase_vault' and extversion <> 'basalt') as needs_vault \gset
\if :needs_vault

create schema if not exists vault authorization supabase_admin;

\if :is_superuser
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
select pg_nextoid('pg_extension', 'oid', 'pg_extension_oid_index'), 'supabase_vault',
       (select oid from pg_roles where rolname = 'supabase_admin'), 'vault'::regnamespace, false, 'basalt'
 where not exists (select from pg_extension where extname = 'supabase_vault');
\endif

-- Made with the database. Backups carry it, other dumps do not (schema basalt).
create table if not exists basalt.vault_key (
    is_only boolean primary key default true check (is_only),
    key     bytea not null check (length(key) = 32)
);
insert into basalt.vault_key (key) values (extensions.gen_random_bytes(32)) on conflict do nothing;
revoke all on basalt.vault_key from public;
grant usage on schema basalt, extensions to supabase_admin;
grant select on basalt.vault_key to supabase_admin;
alter table basalt.vault_key owner to basalt_internal;

set local role supabase_admin;

create table if not exists vault.secrets (
    id          uuid primary key default gen_random_uuid(),
    name        text,
    description text not null default '',
    secret      text not null,
    key_id      uuid,
    nonce       bytea,
    created_at  timestamptz not null default current_timestamp,
    updated_at  timestamptz not null default current_timestamp
);
create unique index if not exists secrets_name_idx on vault.secrets (name) where name is not null;
comment on table vault.secrets is 'Encrypted secrets; read them through decrypted_secrets.';

create or replace function vault._derived_key(purpose text) returns bytea
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select extensions.hmac(convert_to('basalt vault ' || purpose, 'utf8'), k.key, 'sha256') from basalt.vault_key k
$$;

create or replace function vault._seal(secret_id uuid, clear text, nonce bytea) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select translate(encode(c.text || extensions.hmac(uuid_send(secret_id) || nonce || c.text,
                                                      vault._derived_key('authentication'), 'sha256'), 'base64'), E'\n', '')
      from (select extensions.encrypt_iv(convert_to(clear, 'utf8'), vault._derived_key('encryption'), nonce,
                                         'aes-cbc/pad:pkcs') as text) c
$$;

-- NULL for what was not sealed under this key, altered, or moved from another row.
create or replace function vault._open(secret_id uuid, sealed text, nonce bytea) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    raw   bytea;
    coded bytea;
begin
    if length(nonce) is distinct from 16 then
        return null;
    end if;
    raw := decode(sealed, 'base64');
    if length(raw) < 48 then
        return null;
    end if;
    coded := substr(raw, 1, length(raw) - 32);
    if substr(raw, length(raw) - 31) <> extensions.hmac(uuid_send(secret_id) || nonce || coded,
                                                         vault._derived_key('authentication'), 'sha256') then
        return null;
    end if;
    return convert_from(extensions.decrypt_iv(coded, vault._derived_key('encryption'), nonce, 'aes-cbc/pad:pkcs'), 'utf8');
exception when invalid_parameter_value then
    return null; -- no base64
end
$$;

create or replace view vault.decrypted_secrets as
    select s.id, s.name, s.description, s.secret, vault._open(s.id, s.secret, s.nonce) as decrypted_secret,
           s.key_id, s.nonce, s.created_at, s.updated_at
      from vault.secrets s;

create or replace function vault.create_secret(
    new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    new_id uuid := gen_random_uuid();
    iv     bytea := extensions.gen_random_bytes(16);
begin
    insert into vault.secrets (id, name, description, secret, key_id, nonce)
    values (new_id, new_name, coalesce(new_description, ''), vault._seal(new_id, new_secret, iv), new_key_id, iv);
    return new_id;
end
$$;

create or replace function vault.update_secret(
    secret_id uuid, new_secret text default null, new_name text default null, new_description text default null,
    new_key_id uuid default null
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    iv bytea := extensions.gen_random_bytes(16);
begin
    update vault.secrets s
       set secret      = case when new_secret is null then s.secret else vault._seal(s.id, new_secret, iv) end,
           nonce       = case when new_secret is null then s.nonce else iv end,
           name        = coalesce(new_name, s.name),
           description = coalesce(new_description, s.description),
           key_id      = coalesce(new_key_id, s.key_id),
           updated_at  = current_timestamp
     where s.id = secret_id;
end
$$;

revoke all on all functions in schema vault from public;
grant usage on schema vault to postgres;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres;
grant execute on function vault.create_secret(text, text, text, uuid), vault.update_secret(uuid, text, text, text, uuid),
    vault._open(uuid, text, bytea) to postgres;

reset role;
\endif
