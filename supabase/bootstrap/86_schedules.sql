-- How far every schedule has been followed. Who leads moves last_due on in the transaction that decides what becomes of an
-- occurrence (run or missed): so none is run twice, also when two gateways believe that they lead, and none is forgotten
-- while no gateway runs.

create table if not exists basalt.schedule_state (
    kind          text not null check (kind in ('cron', 'gateway')), -- cron.job, or a schedule of the gateway itself
    name          text not null,                                     -- jobid, or the schedule's name
    last_due      timestamptz not null,                              -- occurrences up to here are dealt with
    overrun_runid bigint,                                            -- the row that counts what the running job misses
    overrun_count bigint not null default 0,
    overrun_first timestamptz,
    primary key (kind, name)
);
alter table basalt.schedule_state owner to basalt_internal;

select current_setting('shared_preload_libraries') ~ '\ypg_cron\y'
       and current_setting('cron.database_name', true) = current_database() as has_pg_cron \gset
\if :has_pg_cron
\else

-- A job is followed from the moment at which it is made, changed or switched on; owner's rights, since who schedules may
-- not look into basalt.
create or replace function basalt.follow_cron_job() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        delete from basalt.schedule_state where kind = 'cron' and name = old.jobid::text;
    elsif tg_op = 'INSERT' or new.schedule <> old.schedule or (new.active and not old.active) then
        insert into basalt.schedule_state (kind, name, last_due)
        values ('cron', new.jobid::text, clock_timestamp())
        on conflict (kind, name) do update set last_due = excluded.last_due, overrun_runid = null;
    end if;
    return null;
end
$$;
alter function basalt.follow_cron_job() owner to basalt_internal;
revoke execute on function basalt.follow_cron_job() from public;

create or replace trigger follow
    after insert or update or delete on cron.job
    for each row execute function basalt.follow_cron_job();

-- Tells of occurrences that nobody ran: one row per gap, and one per run that overran, whose count grows.
create or replace function basalt.cron_missed(
    job bigint, missed bigint, first_at timestamptz, last_at timestamptz, is_overrun boolean
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    state basalt.schedule_state;
begin
    if is_overrun then
        update basalt.schedule_state s
           set overrun_first = case when s.overrun_runid is null then first_at else s.overrun_first end,
               overrun_count = missed + case when s.overrun_runid is null then 0 else s.overrun_count end
         where s.kind = 'cron' and s.name = job::text
        returning * into state;
    end if;
    missed := coalesce(state.overrun_count, missed);
    first_at := coalesce(state.overrun_first, first_at);
    if state.overrun_runid is not null then
        delete from cron.job_run_details where runid = state.overrun_runid;
    end if;
    insert into cron.job_run_details (jobid, runid, database, username, command, status, return_message, start_time, end_time)
    select j.jobid, coalesce(state.overrun_runid, nextval('cron.runid_seq')), j.database, j.username, j.command, 'missed',
           format('missed %s occurrence%s from %s to %s: %s', missed, case when missed > 1 then 's' end,
                  to_char(first_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS'),
                  to_char(last_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS'),
                  case when is_overrun then 'the previous run was still going'
                       else 'no gateway was running, or all its places were taken' end),
           first_at, last_at
      from cron.job j
     where j.jobid = job
    returning runid into state.overrun_runid;
    if is_overrun then
        update basalt.schedule_state s set overrun_runid = state.overrun_runid
         where s.kind = 'cron' and s.name = job::text;
    end if;
end
$$;
alter function basalt.cron_missed(bigint, bigint, timestamptz, timestamptz, boolean) owner to basalt_internal;
revoke execute on function basalt.cron_missed(bigint, bigint, timestamptz, timestamptz, boolean) from public;

create index if not exists job_run_details_open_idx on cron.job_run_details (jobid)
    where status in ('starting', 'running');
\endif
