-- Scheduled SQL. The real pg_cron where the server has loaded it for this database; otherwise the same tables and functions,
-- whose jobs the leading gateway runs (five fields in UTC, names, steps, "@hourly" and its kin, "30 seconds", "$" as last day).
--
-- The gateway reads cron.job, runs a command as SET ROLE username, and writes one row of cron.job_run_details per run.
-- A change of cron.job rings the channel basalt_cron.

set local client_min_messages = warning;

select current_setting('shared_preload_libraries') ~ '\ypg_cron\y'
       and current_setting('cron.database_name', true) = current_database() as has_pg_cron \gset
\if :has_pg_cron
create extension if not exists pg_cron with schema pg_catalog;
grant usage on schema cron to basalt_internal;
grant select on cron.job, cron.job_run_details to basalt_internal;
\else

-- A row without members: CREATE EXTENSION IF NOT EXISTS pg_cron in a stock migration then finds it and does nothing.
\if :is_superuser
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
select pg_nextoid('pg_extension', 'oid', 'pg_extension_oid_index'), 'pg_cron',
       (select oid from pg_roles where rolname = 'supabase_admin'), 'pg_catalog'::regnamespace, false, 'basalt'
 where not exists (select from pg_extension where extname = 'pg_cron');
\endif

create schema if not exists cron authorization supabase_admin;
grant usage on schema cron to postgres with grant option;
grant usage on schema cron to basalt_internal;

set local role supabase_admin;

create sequence if not exists cron.jobid_seq;
create sequence if not exists cron.runid_seq;

create table if not exists cron.job (
    jobid    bigint primary key default nextval('cron.jobid_seq'),
    schedule text not null,
    command  text not null,
    nodename text not null default 'localhost',
    nodeport integer not null default coalesce(inet_server_port(), current_setting('port')::integer),
    database text not null default current_database(),
    username text not null default current_user,
    active   boolean not null default true,
    jobname  name,
    constraint jobname_username_uniq unique (jobname, username)
);

create table if not exists cron.job_run_details (
    jobid          bigint,
    runid          bigint primary key default nextval('cron.runid_seq'),
    job_pid        integer,
    database       text,
    username       text,
    command        text,
    status         text,
    return_message text,
    start_time     timestamptz,
    end_time       timestamptz
);
create index if not exists job_run_details_jobid_idx on cron.job_run_details (jobid, start_time desc);

-- One field of a schedule: lists of *, n, a-b, each with an optional /step; names stand for low, low + 1, ...
create or replace function cron.is_valid_field(field text, low integer, high integer, names text[] default '{}')
returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    item text;
    part text[];
    ends integer[];
begin
    foreach item in array string_to_array(lower(field), ',') loop
        part := regexp_match(item, '^(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]{1,3}))?$');
        if part is null or part[3]::integer = 0 or (part[1] = '*' and part[2] is not null) then
            return false;
        end if;
        if part[1] = '*' then
            continue;
        end if;
        ends := array(
            select case when e ~ '^[0-9]{1,2}$' then e::integer else array_position(names, e) - 1 + low end
              from unnest(part[1:2]) with ordinality as u (e, n) where e is not null order by n);
        if array_position(ends, null) is not null
           or ends[1] not between low and high
           or coalesce(ends[2], ends[1]) not between ends[1] and high then
            return false;
        end if;
    end loop;
    return coalesce(field, '') <> '';
end
$$;

create or replace function cron.is_valid_schedule(schedule text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    field text[] := regexp_split_to_array(btrim(schedule), '\s+');
begin
    if lower(btrim(schedule)) ~ '^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$'
       or lower(btrim(schedule)) ~ '^([1-9]|[1-5][0-9])\s+seconds?$' then
        return true;
    end if;
    return cardinality(field) = 5
       and cron.is_valid_field(field[1], 0, 59)
       and cron.is_valid_field(field[2], 0, 23)
       and (field[3] = '$' or cron.is_valid_field(field[3], 1, 31))
       and cron.is_valid_field(field[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}')
       and cron.is_valid_field(field[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}');
end
$$;

-- Nobody plants a job under another name than his own, and no schedule that could not be run.
create or replace function cron.check_job() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not cron.is_valid_schedule(new.schedule) then
        raise exception 'invalid schedule: %', new.schedule using errcode = '22023';
    end if;
    if new.username <> current_user
       and not (select rolsuper from pg_roles where rolname = current_user) then
        raise exception 'must be superuser to schedule a job for another role' using errcode = '42501';
    end if;
    if not exists (select from pg_roles where rolname = new.username) then
        raise exception 'role "%" does not exist', new.username using errcode = '42704';
    end if;
    return new;
end
$$;
create or replace trigger check_job
    before insert or update on cron.job
    for each row execute function cron.check_job();

create or replace function cron.ring() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_notify('basalt_cron', '');
    return null;
end
$$;
create or replace trigger ring
    after insert or update or delete or truncate on cron.job
    for each statement execute function cron.ring();

create or replace function cron.schedule(schedule text, command text) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    insert into cron.job (schedule, command, username) values (schedule, command, current_user) returning jobid
$$;

create or replace function cron.schedule(job_name text, schedule text, command text) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    insert into cron.job (jobname, schedule, command, username) values (job_name, schedule, command, current_user)
    on conflict (jobname, username) do update
       set schedule = excluded.schedule, command = excluded.command, database = excluded.database, active = true
    returning jobid
$$;

create or replace function cron.schedule_in_database(
    job_name text, schedule text, command text, database text, username text default null, active boolean default true
) returns bigint
language sql volatile set search_path = pg_catalog, pg_temp as $$
    insert into cron.job (jobname, schedule, command, database, username, active)
    values (job_name, schedule, command, database, coalesce(username, current_user), active)
    on conflict (jobname, username) do update
       set schedule = excluded.schedule, command = excluded.command, database = excluded.database,
           active = excluded.active
    returning jobid
$$;

create or replace function cron.alter_job(
    job_id   bigint,
    schedule text default null,
    command  text default null,
    database text default null,
    username text default null,
    active   boolean default null
) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    update cron.job j
       set schedule = coalesce(alter_job.schedule, j.schedule),
           command = coalesce(alter_job.command, j.command),
           database = coalesce(alter_job.database, j.database),
           username = coalesce(alter_job.username, j.username),
           active = coalesce(alter_job.active, j.active)
     where j.jobid = job_id;
    if not found then
        raise exception 'Job % does not exist or you don''t own it', job_id;
    end if;
end
$$;

create or replace function cron.unschedule(job_id bigint) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    delete from cron.job j where j.jobid = job_id;
    if not found then
        raise exception 'could not find valid entry for job ''%''', job_id;
    end if;
    return true;
end
$$;

create or replace function cron.unschedule(job_name name) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    delete from cron.job j where j.jobname = job_name and j.username = current_user;
    if not found then
        raise exception 'could not find valid entry for job ''%''', job_name;
    end if;
    return true;
end
$$;

alter table cron.job enable row level security;
alter table cron.job_run_details enable row level security;
drop policy if exists cron_job_policy on cron.job;
create policy cron_job_policy on cron.job
    using (username = current_user);
drop policy if exists cron_job_run_details_policy on cron.job_run_details;
create policy cron_job_run_details_policy on cron.job_run_details
    using (username = current_user);
drop policy if exists gateway on cron.job;
create policy gateway on cron.job
    for select to basalt_internal
    using (true);
drop policy if exists gateway on cron.job_run_details;
create policy gateway on cron.job_run_details
    to basalt_internal
    using (true);

revoke execute on function cron.schedule_in_database(text, text, text, text, text, boolean) from public;
grant all on all tables in schema cron to postgres with grant option;
grant all on all sequences in schema cron to postgres with grant option;
grant select on cron.job to basalt_internal;
grant all on cron.job_run_details to basalt_internal;
grant usage on sequence cron.runid_seq to basalt_internal;

reset role;

-- The way to SET ROLE postgres, the usual owner of jobs. basalt_runner does not inherit, so nothing is gained before that.
call pg_temp.ensure_role('basalt_runner', 'nologin noinherit');
grant postgres to basalt_runner;
grant basalt_runner to basalt_internal;
\endif
