-- Schemas, extensions, and the default privileges that make a table created by a migration visible to the API.

set local client_min_messages = warning;

-- schema public belongs to the owner of the database, which on Supabase is the migrating role.
do $$
begin
    if (select rolsuper and d.datdba = r.oid
          from pg_database d, pg_roles r where datname = current_database() and rolname = current_user) then
        execute format('alter database %I owner to postgres', current_database());
    end if;
    execute format('grant all on database %I to postgres', current_database());
    execute format('grant connect on database %I to authenticator, basalt_internal', current_database());
end
$$;

grant all on schema public to postgres;
grant usage on schema public to anon, authenticated, service_role;

create schema if not exists extensions authorization postgres;
create schema if not exists auth authorization supabase_admin;
create schema if not exists storage authorization supabase_admin;
create schema if not exists realtime authorization supabase_admin;
create schema if not exists graphql_public authorization supabase_admin;
create schema if not exists supabase_functions authorization supabase_functions_admin;
create schema if not exists supabase_migrations authorization postgres;

grant usage on schema extensions to anon, authenticated, service_role;
grant all on schema extensions to dashboard_user;

grant usage on schema auth to anon, authenticated, service_role;
grant all on schema auth to supabase_auth_admin, postgres, dashboard_user;

grant usage on schema storage to anon, authenticated, service_role;
grant all on schema storage to supabase_storage_admin, postgres, dashboard_user;

grant usage on schema realtime to anon, authenticated, service_role, postgres;
grant all on schema realtime to supabase_realtime_admin;

grant usage on schema graphql_public to anon, authenticated, service_role, postgres;
grant usage on schema supabase_functions to anon, authenticated, service_role, postgres;

create table if not exists supabase_migrations.schema_migrations (
    version    text primary key,
    statements text[],
    name       text
);
alter table supabase_migrations.schema_migrations owner to postgres;

create extension if not exists "uuid-ossp" with schema extensions;
create extension if not exists pgcrypto with schema extensions;

-- public: whoever makes the object, the API roles see it and row security decides.
alter default privileges for role postgres in schema public
    grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
    grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
    grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
    grant all on functions to postgres, anon, authenticated, service_role;

alter default privileges for role postgres in schema storage
    grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema storage
    grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema storage
    grant all on functions to postgres, anon, authenticated, service_role;

alter default privileges for role supabase_admin in schema graphql_public
    grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema graphql_public
    grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema graphql_public
    grant all on functions to postgres, anon, authenticated, service_role;

alter default privileges for role supabase_auth_admin in schema auth
    grant all on tables to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth
    grant all on sequences to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth
    grant all on functions to postgres, dashboard_user;

alter default privileges for role supabase_admin in schema realtime
    grant all on tables to postgres, dashboard_user;
alter default privileges for role supabase_admin in schema realtime
    grant all on sequences to postgres, dashboard_user;
alter default privileges for role supabase_admin in schema realtime
    grant all on functions to postgres, dashboard_user;

alter default privileges for role supabase_admin in schema extensions
    grant all on tables to postgres with grant option;
alter default privileges for role supabase_admin in schema extensions
    grant all on sequences to postgres with grant option;
alter default privileges for role supabase_admin in schema extensions
    grant all on functions to postgres with grant option;
