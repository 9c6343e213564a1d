-- Who works on a job: leases with fencing tokens, the journal of steps that must not happen twice, the job bell.
--
-- A lease gives one executor the right to write a job. Its token grows with every claim, so that an executor that was
-- paused, and whose lease somebody else has taken meanwhile, is recognised and refused. Everything here is called
-- through the gateway's service-only routes; the functions are in 72_jobs_claim.sql and 74_jobs_report.sql.

create sequence if not exists basalt.job_token;

create table if not exists basalt.job_leases (
    job_id      uuid primary key, -- no foreign key: public.jobs comes with the product's migrations
    executor_id text not null,
    boot_id     text not null,    -- one per process of that executor
    token       bigint not null,
    attempts    integer not null default 1,
    servers     text[] not null default '{}',
    is_changing boolean not null, -- the job changes these servers: no second such job at the same time
    claimed_at  timestamptz not null default now(),
    expires_at  timestamptz not null,
    last_seq    bigint not null default 0 -- of the reports: one that comes twice counts once
);

-- What an executor was about to do, and what it has done, for whoever goes on after it.
create table if not exists basalt.job_journal (
    job_id uuid not null,
    step   text not null,
    state  text not null check (state in ('started', 'done')),
    detail jsonb,
    at     timestamptz not null default now(),
    primary key (job_id, step)
);

-- The functions below run as the role that owns the product's tables, not as a superuser.
grant usage on schema basalt to postgres;
alter sequence basalt.job_token owner to postgres;
alter table basalt.job_leases owner to postgres;
alter table basalt.job_journal owner to postgres;

-- The next three are inlined into the claim's query, hence without a search_path of their own: they use operators only.

-- Jobs that talk to an iDRAC wait while activity_settings.pause_idrac_operations is on.
create or replace function basalt.job_is_idrac(job_type text) returns boolean
language sql immutable parallel safe as $$
    select job_type in (
        'discovery_scan', 'firmware_update', 'full_server_update', 'test_credentials', 'power_action', 'health_check',
        'fetch_event_logs', 'boot_configuration', 'virtual_media_mount', 'virtual_media_unmount', 'scp_export',
        'scp_import', 'bios_config_read', 'bios_config_write', 'prepare_host_for_update', 'verify_host_after_update',
        'rolling_cluster_update', 'esxi_upgrade', 'esxi_then_firmware', 'firmware_then_esxi', 'idrac_network_read',
        'idrac_network_write', 'firmware_inventory_scan')
$$;

create or replace function basalt.job_is_changing(job_type text) returns boolean
language sql immutable parallel safe as $$
    select job_type in (
        'firmware_update', 'full_server_update', 'power_action', 'boot_configuration', 'virtual_media_mount',
        'virtual_media_unmount', 'scp_export', 'scp_import', 'bios_config_write', 'prepare_host_for_update',
        'verify_host_after_update', 'rolling_cluster_update', 'esxi_upgrade', 'esxi_then_firmware',
        'firmware_then_esxi', 'idrac_network_write')
$$;

-- Internal work stands behind what people asked for.
create or replace function basalt.job_rank(details jsonb, priority text) returns integer
language sql immutable parallel safe as $$
    select case when details ->> 'is_internal' = 'true'
                  or details ->> 'triggered_by' in ('scheduled', 'scheduled_sync', 'automatic') then 10 else 0 end
         + case priority when 'critical' then 0 when 'high' then 1 when 'low' then 3 else 2 end
$$;

-- The servers a job names, whatever shape a client has given its scope.
create or replace function basalt.job_servers(target_scope jsonb, details jsonb) returns text[]
language sql immutable parallel safe set search_path = '' as $$
    select coalesce(array_agg(distinct lower(named.id)), '{}')
      from (select jsonb_array_elements_text(
                       case when jsonb_typeof(target_scope -> 'server_ids') = 'array'
                            then target_scope -> 'server_ids' else '[]' end) as id
            union all
            select details ->> 'server_id' where jsonb_typeof(details -> 'server_id') = 'string') named
     where named.id is not null
$$;

-- While somebody holds the lease, a job is written through the lease. People may still cancel, annotate and force it;
-- only a service (another executor) is turned away, silently, as PATCH of a row that does not match its filter is.
-- A function that writes for a person sets basalt.job_writer to 'user' for its transaction.
create or replace function basalt.job_guard() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    writer text := current_setting('basalt.job_writer', true);
    held   bigint;
begin
    if current_setting('role', true) is distinct from 'service_role' or writer = 'user' or new.status = 'cancelled' then
        return new;
    end if;
    select l.token into held from basalt.job_leases l where l.job_id = old.id and l.expires_at > now();
    if held is null or writer = held::text then
        return new;
    end if;
    return null;
end
$$;

-- Tells the gateway's streams of work that is due, and of work that is no longer wanted.
create or replace function basalt.job_bell() returns trigger
language plpgsql set search_path = '' as $$
begin
    perform pg_notify('basalt_jobs', jsonb_build_object(
        'event', case when new.status = 'pending' then 'job' else 'cancel' end,
        'id', new.id, 'job_type', new.job_type)::text);
    return null;
end
$$;

-- Hangs guard and bell on public.jobs. False when there is no such table (yet). Repeatable.
create or replace function basalt.jobs_attach() returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    if to_regclass('public.jobs') is null then
        return false;
    end if;
    perform set_config('basalt.quiet_ddl', 'on', true);
    create or replace trigger basalt_job_guard
        before update on public.jobs
        for each row execute function basalt.job_guard();
    create or replace trigger basalt_job_bell_insert
        after insert on public.jobs
        for each row when (new.status = 'pending') execute function basalt.job_bell();
    create or replace trigger basalt_job_bell_update
        after update on public.jobs
        for each row when (
            (new.status in ('pending', 'cancelled') and old.status is distinct from new.status)
            or (new.status = 'pending' and old.schedule_at is distinct from new.schedule_at)
            or (new.status = 'running' and new.details ->> 'graceful_cancel' = 'true'
                and old.details ->> 'graceful_cancel' is distinct from 'true'))
        execute function basalt.job_bell();
    perform set_config('basalt.quiet_ddl', '', true);
    return true;
end
$$;

create or replace function basalt.jobs_on_create_table() returns event_trigger
language plpgsql set search_path = '' as $$
begin
    if exists (select from pg_catalog.pg_event_trigger_ddl_commands() c where c.object_identity = 'public.jobs') then
        perform basalt.jobs_attach();
    end if;
end
$$;

alter function basalt.job_guard() owner to postgres;
alter function basalt.jobs_attach() owner to postgres;
revoke execute on function basalt.job_guard(), basalt.job_bell(), basalt.jobs_attach() from public;
grant execute on function basalt.jobs_attach() to basalt_internal;
grant execute on function basalt.job_bell() to postgres;

-- Without superuser rights tools/migrate attaches them at its end.
\if :is_superuser
drop event trigger if exists basalt_jobs_attach;
create event trigger basalt_jobs_attach on ddl_command_end
    when tag in ('CREATE TABLE')
    execute function basalt.jobs_on_create_table();
\endif

select basalt.jobs_attach();
