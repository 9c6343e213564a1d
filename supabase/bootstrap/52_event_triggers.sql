-- Event triggers: schema reload on DDL, and the grants that belong to pg_cron and pg_net when somebody installs them.
--
-- A transaction that sets basalt.quiet_ddl = on (message partitions, capture triggers) does not ask for a reload.

-- Only a superuser can make them. Without them a gateway notices new objects by polling the catalog.

\if :is_superuser
create or replace function extensions.pgrst_ddl_watch() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('basalt.quiet_ddl', true) = 'on' then
        return;
    end if;
    if exists (
        select from pg_event_trigger_ddl_commands() c
         where c.schema_name is distinct from 'pg_temp'
           and c.command_tag in (
               'CREATE SCHEMA', 'ALTER SCHEMA',
               'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE',
               'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE',
               'CREATE VIEW', 'ALTER VIEW',
               'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW',
               'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE PROCEDURE', 'ALTER PROCEDURE',
               'CREATE TRIGGER', 'CREATE RULE',
               'CREATE TYPE', 'ALTER TYPE', 'CREATE DOMAIN', 'ALTER DOMAIN',
               'COMMENT')
    ) then
        notify pgrst, 'reload schema';
    end if;
end
$$;

create or replace function extensions.pgrst_drop_watch() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('basalt.quiet_ddl', true) = 'on' then
        return;
    end if;
    if exists (
        select from pg_event_trigger_dropped_objects() o
         where not o.is_temporary
           and o.object_type in ('schema', 'table', 'foreign table', 'view', 'materialized view',
                                 'function', 'procedure', 'trigger', 'type', 'domain', 'rule')
    ) then
        notify pgrst, 'reload schema';
    end if;
end
$$;

create or replace function extensions.grant_pg_cron_access() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (
        select from pg_event_trigger_ddl_commands() c
          join pg_extension e on e.oid = c.objid and c.classid = 'pg_extension'::regclass
         where e.extname = 'pg_cron'
    ) then
        return;
    end if;
    grant usage on schema cron to postgres with grant option;
    alter default privileges in schema cron grant all on tables to postgres with grant option;
    alter default privileges in schema cron grant all on sequences to postgres with grant option;
    alter default privileges in schema cron grant all on functions to postgres with grant option;
    grant all on all tables in schema cron to postgres with grant option;
    revoke all on table cron.job from postgres;
    grant select on table cron.job to postgres with grant option;
end
$$;

create or replace function extensions.grant_pg_net_access() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    routine regprocedure;
begin
    if not exists (
        select from pg_event_trigger_ddl_commands() c
          join pg_extension e on e.oid = c.objid and c.classid = 'pg_extension'::regclass
         where e.extname = 'pg_net'
    ) then
        return;
    end if;
    grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role;
    for routine in
        select p.oid::regprocedure from pg_proc p
         where p.pronamespace = 'net'::regnamespace and p.proname in ('http_get', 'http_post')
    loop
        execute format('alter function %s security definer set search_path = net', routine);
        execute format('revoke all on function %s from public', routine);
        execute format('grant execute on function %s to supabase_functions_admin, postgres, anon, '
                       'authenticated, service_role', routine);
    end loop;
end
$$;

drop event trigger if exists pgrst_ddl_watch;
create event trigger pgrst_ddl_watch on ddl_command_end
    execute function extensions.pgrst_ddl_watch();

drop event trigger if exists pgrst_drop_watch;
create event trigger pgrst_drop_watch on sql_drop
    execute function extensions.pgrst_drop_watch();

drop event trigger if exists issue_pg_cron_access;
create event trigger issue_pg_cron_access on ddl_command_end
    when tag in ('CREATE EXTENSION')
    execute function extensions.grant_pg_cron_access();

drop event trigger if exists issue_pg_net_access;
create event trigger issue_pg_net_access on ddl_command_end
    when tag in ('CREATE EXTENSION')
    execute function extensions.grant_pg_net_access();
\endif
