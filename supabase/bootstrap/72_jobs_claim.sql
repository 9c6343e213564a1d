-- Claiming: which job is next, for whom, and for how long.

-- The product's tables come later, with the migrations.
set local check_function_bodies = off;

-- Marks a job that was taken up too often: whoever runs it dies of it, or it is never finished.
create or replace function basalt.job_give_up(job uuid, attempts integer) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.jobs j
       set status = 'failed',
           details = coalesce(j.details, '{}') || jsonb_build_object(
               'error', format('The executor stopped %s times while this job was running%s', attempts,
                               coalesce('; last step: ' || (j.details ->> 'current_step'), '')),
               'failed_step', j.details -> 'current_step',
               'auto_recovered', true)
     where j.id = job and j.status = 'running';
    perform basalt.job_close(job, 'failed', 'Executor stopped');
end
$$;

-- Ends what belongs to a job that has ended: tasks that are still open, steps, children, lease and journal.
create or replace function basalt.job_close(job uuid, final_status text, reason text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.job_tasks t
       set status = case when t.status = 'pending' or final_status = 'cancelled' then 'cancelled'::public.job_status
                         else 'failed'::public.job_status end,
           completed_at = now(),
           log = concat_ws(E'\n', t.log, to_char(now() at time zone 'UTC', '[HH24:MI:SS] ') || reason)
     where t.job_id = job and t.status in ('pending', 'running');
    update public.workflow_executions w
       set step_status = case when final_status = 'cancelled' then 'cancelled'
                              when w.step_status = 'pending' then 'skipped' else 'failed' end,
           step_completed_at = now(), step_error = coalesce(w.step_error, reason)
     where w.job_id = job and w.step_status in ('pending', 'running');
    if final_status in ('failed', 'cancelled') then
        update public.jobs c
           set status = 'cancelled',
               details = coalesce(c.details, '{}') || jsonb_build_object(
                   'cancellation_reason', 'Auto-cancelled: parent job ' || final_status)
         where c.parent_job_id = job and c.status in ('pending', 'running');
    end if;
    delete from basalt.job_leases where job_id = job;
    delete from basalt.job_journal where job_id = job;
end
$$;

-- Two jobs that change the same server wait for each other, also when the first one lost its executor.
create or replace function basalt.job_is_blocked(job uuid, job_type text, target_scope jsonb, details jsonb) returns boolean
language sql stable as $$
    select basalt.job_is_changing(job_type) and exists (
        select from basalt.job_leases o
         where o.job_id <> job and o.is_changing and o.servers && basalt.job_servers(target_scope, details))
$$;

-- Takes one job for an executor; the caller holds the claim lock. Null when it changed meanwhile, or was taken up
-- too often and has failed for that.
create or replace function basalt.job_take(job uuid, executor text, boot text, life interval) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    attempts_max constant integer := 3;
    candidate public.jobs;
    lease     basalt.job_leases;
    taken     public.jobs;
begin
    select * into candidate from public.jobs j
     where j.id = job and j.status in ('pending', 'running') and not basalt.job_is_blocked(
               j.id, j.job_type::text, j.target_scope, j.details)
       for update skip locked;
    if not found then
        return null;
    end if;
    select * into lease from basalt.job_leases l where l.job_id = job;
    if candidate.status = 'running' and lease.attempts >= attempts_max then
        perform basalt.job_give_up(candidate.id, lease.attempts);
        return null;
    end if;
    insert into basalt.job_leases as l
           (job_id, executor_id, boot_id, token, attempts, servers, is_changing, claimed_at, expires_at)
    values (candidate.id, executor, boot, nextval('basalt.job_token'),
            case when candidate.status = 'running' then coalesce(lease.attempts, 0) + 1 else 1 end,
            basalt.job_servers(candidate.target_scope, candidate.details),
            basalt.job_is_changing(candidate.job_type::text), now(), clock_timestamp() + life)
    on conflict (job_id) do update
        set executor_id = excluded.executor_id, boot_id = excluded.boot_id, token = excluded.token,
            attempts = excluded.attempts, servers = excluded.servers, is_changing = excluded.is_changing,
            claimed_at = excluded.claimed_at, expires_at = excluded.expires_at, last_seq = 0
    returning * into lease;
    perform set_config('basalt.job_writer', lease.token::text, true);
    update public.jobs j
       set status = 'running', started_at = coalesce(j.started_at, now())
     where j.id = candidate.id
    returning * into taken;
    if lease.attempts = 1 then
        insert into public.audit_logs (user_id, action, details)
        values (taken.created_by, 'job_started',
                jsonb_build_object('job_id', taken.id, 'job_type', taken.job_type, 'executor_id', executor));
    end if;
    -- Passwords in details are stored encrypted; whoever carries the job out gets them in clear.
    if to_regprocedure('public.reveal_job_secrets(jsonb)') is not null then
        taken.details := public.reveal_job_secrets(taken.details);
    end if;
    return jsonb_build_object(
        'token', lease.token::text, 'attempts', lease.attempts, 'expires_at', lease.expires_at,
        'job', to_jsonb(taken) || jsonb_build_object('details', public.reveal_job_secrets(taken.details)),
        'tasks', (select coalesce(jsonb_agg(to_jsonb(t) - 'log' order by t.created_at, t.id), '[]')
                    from public.job_tasks t where t.job_id = taken.id),
        'journal', (select coalesce(jsonb_object_agg(g.step, jsonb_build_object('state', g.state, 'detail', g.detail)), '{}')
                      from basalt.job_journal g where g.job_id = taken.id));
end
$$;

-- request: executor_id, boot_id, types (null: all), max (1..100), lease_seconds (5..3600)
-- answer:  jobs [{token, attempts, expires_at, job, tasks, journal}], is_paused, next_due (the next schedule, or the
--          moment another executor's lease runs out unless it is renewed)
-- An executor that comes with a new boot_id has lost what its former process held: those jobs are free at once.
create or replace function basalt.job_claim(request jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    executor  text := request ->> 'executor_id';
    boot      text := coalesce(request ->> 'boot_id', '');
    types     text[] := case when jsonb_typeof(request -> 'types') = 'array'
                             then array(select jsonb_array_elements_text(request -> 'types')) end;
    wanted    integer := least(greatest(coalesce((request ->> 'max')::integer, 1), 0), 100);
    life      interval := make_interval(
                  secs => least(greatest(coalesce((request ->> 'lease_seconds')::integer, 30), 5), 3600));
    is_paused boolean := exists (select from public.activity_settings s where s.pause_idrac_operations);
    candidate uuid;
    seen      integer := 0;
    taken     jsonb;
    answer    jsonb := '[]';
begin
    if coalesce(executor, '') = '' or length(executor) > 200 or length(boot) > 200 then
        raise sqlstate 'PT400' using message = 'executor_id is required';
    end if;
    perform pg_advisory_xact_lock(hashtext('basalt job claim'));
    delete from basalt.job_leases l
     where l.expires_at <= now() and not exists (
               select from public.jobs j where j.id = l.job_id and j.status in ('pending', 'running'));
    update basalt.job_leases l
       set expires_at = now()
     where l.executor_id = executor and l.boot_id <> boot and l.expires_at > now();

    -- Most claims find their jobs among the first of the queue: narrow rows and a limit keep a long queue's sort in
    -- memory, and taking a job checks it again under its lock. Only when all of these were blocked is the whole queue
    -- looked through.
    for pass in 1 .. 2 loop
        for candidate in
            select j.id
              from public.jobs j left join basalt.job_leases l on l.job_id = j.id
             where j.status in ('pending', 'running')
               and (j.status = 'pending' and (j.schedule_at is null or j.schedule_at <= now())
                    or j.status = 'running' and l.job_id is not null)
               and (l.job_id is null or l.expires_at <= now())
               and j.parent_job_id is null
               and (types is null or j.job_type::text = any (types))
               and not (is_paused and basalt.job_is_idrac(j.job_type::text))
               and (pass = 1 or not basalt.job_is_blocked(j.id, j.job_type::text, j.target_scope, j.details))
             order by j.status = 'running' desc, basalt.job_rank(j.details, j.priority), j.created_at, j.id
             limit wanted + 50
        loop
            exit when jsonb_array_length(answer) >= wanted;
            seen := seen + 1;
            taken := basalt.job_take(candidate, executor, boot, life);
            continue when taken is null;
            answer := answer || taken;
        end loop;
        exit when seen < wanted + 50 or jsonb_array_length(answer) > 0;
    end loop;
    return jsonb_build_object(
        'jobs', answer, 'is_paused', is_paused,
        'next_due', least(
            (select min(j.schedule_at) from public.jobs j where j.status = 'pending' and j.schedule_at > now()),
            (select min(l.expires_at) from basalt.job_leases l where l.executor_id <> executor)));
end
$$;

do $$
declare
    routine text;
begin
    foreach routine in array array['job_give_up(uuid, integer)', 'job_close(uuid, text, text)', 'job_claim(jsonb)'] loop
        execute format('alter function basalt.%s owner to postgres', routine);
        execute format('revoke execute on function basalt.%s from public', routine);
    end loop;
end
$$;
grant execute on function basalt.job_claim(jsonb) to basalt_internal;

set local check_function_bodies to default;
