-- What people are told about jobs: each job's start, completion and failure once, whoever wrote the change.
--
-- A trigger queues the notice in the transaction of the change; a gateway takes it, sends it, and marks it. Taking hides a
-- notice for two minutes, so that one whose gateway died is sent by another (at least once). Marked rows stay for a while:
-- a job that is claimed a second time starts a second time, but is announced once.

create table if not exists basalt.job_notices (
    id         bigint generated always as identity primary key,
    job_id     uuid not null, -- no foreign key: public.jobs comes with the product's migrations
    status     text not null,
    created_at timestamptz not null default now(),
    due_at     timestamptz not null default now(),
    attempts   integer not null default 0,
    sent_at    timestamptz,
    constraint job_notices_once unique (job_id, status)
);
create index if not exists job_notices_due on basalt.job_notices (due_at) where sent_at is null;
alter table basalt.job_notices owner to postgres;

-- Nothing is queued that the settings do not ask for; internal and silent jobs and directory sign-ins are nobody's news.
create or replace function basalt.job_notice() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if to_regclass('public.notification_settings') is null
       or new.job_type::text like 'idm\_%'
       or new.details ->> 'silent' = 'true'
       or new.details ->> 'is_internal' = 'true'
    then
        return null;
    end if;
    insert into basalt.job_notices (job_id, status)
    select new.id, new.status::text
      from public.notification_settings s
     where case new.status::text
               when 'running' then s.notify_on_job_started
               when 'completed' then s.notify_on_job_complete
               else s.notify_on_job_failed
           end
     limit 1
    on conflict (job_id, status) do nothing;
    if found then
        perform pg_notify('basalt_notices', '');
    end if;
    return null;
end
$$;

create or replace function basalt.notices_attach() returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    if to_regclass('public.jobs') is null then
        return false;
    end if;
    perform set_config('basalt.quiet_ddl', 'on', true);
    create or replace trigger basalt_job_notice
        after update of status on public.jobs
        for each row when (
            old.status is distinct from new.status and new.status in ('running', 'completed', 'failed'))
        execute function basalt.job_notice();
    perform set_config('basalt.quiet_ddl', '', true);
    return true;
end
$$;

create or replace function basalt.notices_on_create_table() returns event_trigger
language plpgsql set search_path = '' as $$
begin
    if exists (select from pg_catalog.pg_event_trigger_ddl_commands() c where c.object_identity = 'public.jobs') then
        perform basalt.notices_attach();
    end if;
end
$$;

-- The next notice with what it is about, hidden from others for two minutes. No row: nothing is due.
create or replace function basalt.notice_take()
returns table (id bigint, job_id uuid, status text, attempts integer, job_type text, details jsonb)
language plpgsql volatile security definer set search_path = '' as $$
#variable_conflict use_column
begin
    return query
    with next as (
        update basalt.job_notices n
           set due_at = now() + interval '2 minutes', attempts = n.attempts + 1
         where n.id = (select q.id from basalt.job_notices q
                        where q.sent_at is null and q.due_at <= now()
                        order by q.id limit 1
                          for update skip locked)
        returning n.id, n.job_id, n.status, n.attempts
    )
    select next.id, next.job_id, next.status, next.attempts, j.job_type::text, j.details
      from next left join public.jobs j on j.id = next.job_id;
end
$$;

-- Sent, or not worth another try.
create or replace function basalt.notice_done(notice_id bigint) returns void
language sql volatile security definer set search_path = '' as $$
    update basalt.job_notices set sent_at = now() where id = notice_id;
    delete from basalt.job_notices where sent_at < now() - interval '30 days'
$$;

alter function basalt.job_notice() owner to postgres;
alter function basalt.notices_attach() owner to postgres;
alter function basalt.notice_take() owner to postgres;
alter function basalt.notice_done(bigint) owner to postgres;
revoke execute on function basalt.job_notice(), basalt.notices_attach(), basalt.notice_take(),
    basalt.notice_done(bigint) from public;
grant execute on function basalt.notices_attach(), basalt.notice_take(), basalt.notice_done(bigint) to basalt_internal;

-- Without superuser rights tools/migrate attaches it at its end.
\if :is_superuser
drop event trigger if exists basalt_notices_attach;
create event trigger basalt_notices_attach on ddl_command_end
    when tag in ('CREATE TABLE')
    execute function basalt.notices_on_create_table();
\endif

select basalt.notices_attach();
