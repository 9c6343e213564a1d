-- Renewing, reporting and finishing: every write checks the fencing token first (409 when it is not the current one).

-- The product's tables come later, with the migrations.
set local check_function_bodies = off;

-- The lease of a job, locked, if `token` is its current one. The writes that follow in this transaction pass the guard.
create or replace function basalt.job_hold(job uuid, token text) returns basalt.job_leases
language plpgsql security definer set search_path = '' as $$
declare
    lease basalt.job_leases;
begin
    select * into lease from basalt.job_leases l where l.job_id = job for update;
    if lease.job_id is null or lease.token::text is distinct from token then
        raise sqlstate 'PT409' using message = 'The lease of this job is lost',
            detail = case when lease.job_id is null then 'Nobody holds it.' else 'Another executor holds it.' end;
    end if;
    perform set_config('basalt.job_writer', lease.token::text, true);
    return lease;
end
$$;

create or replace function basalt.job_state(job uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object('status', j.status, 'graceful_cancel', coalesce(j.details ->> 'graceful_cancel' = 'true', false))
      from public.jobs j where j.id = job
$$;

-- request: token, lease_seconds; answer: status, graceful_cancel, expires_at
create or replace function basalt.job_renew(job uuid, request jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    lease basalt.job_leases := basalt.job_hold(job, request ->> 'token');
    life  interval := make_interval(
              secs => least(greatest(coalesce((request ->> 'lease_seconds')::integer, 30), 5), 3600));
    state jsonb := basalt.job_state(job);
begin
    if state is null then
        delete from basalt.job_leases where job_id = job;
        raise sqlstate 'PT409' using message = 'The job is gone';
    end if;
    update basalt.job_leases l set expires_at = clock_timestamp() + life where l.job_id = job returning * into lease;
    return state || jsonb_build_object('expires_at', lease.expires_at);
end
$$;

-- Drops the keys of `gone` from details, merges `patch`, appends console lines and keeps the newest hundred.
create or replace function basalt.job_merge(details jsonb, patch jsonb, gone text[], lines jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
declare
    merged  jsonb := case when jsonb_typeof(details) = 'object' then details else '{}' end;
    console jsonb;
begin
    merged := (merged - coalesce(gone, '{}')) || coalesce(patch, '{}');
    if jsonb_typeof(lines) = 'array' and jsonb_array_length(lines) > 0 then
        console := case when jsonb_typeof(merged -> 'console_log') = 'array' then merged -> 'console_log' else '[]' end
                   || lines;
        select jsonb_agg(l.line order by l.n) into console
          from jsonb_array_elements(console) with ordinality l (line, n)
         where l.n > jsonb_array_length(console) - 100;
        merged := jsonb_set(merged, '{console_log}', console);
    end if;
    return merged;
end
$$;

-- tasks: [{task_id, server_id?, vcenter_host_id?, status?, progress?, log?}]; log is appended; a final task stays.
create or replace function basalt.job_write_tasks(job uuid, tasks jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    n record;
begin
    for n in
        select * from jsonb_to_recordset(tasks) as r (
            task_id uuid, server_id uuid, vcenter_host_id uuid, status public.job_status, progress integer, log text)
    loop
        insert into public.job_tasks as t
               (id, job_id, server_id, vcenter_host_id, status, progress, log, started_at, completed_at)
        select n.task_id, job, (select s.id from public.servers s where s.id = n.server_id), n.vcenter_host_id,
               coalesce(n.status, 'pending'), least(greatest(coalesce(n.progress, 0), 0), 100), n.log,
               case when n.status <> 'pending' then now() end,
               case when n.status in ('completed', 'failed', 'cancelled') then now() end
        on conflict (id) do update
            set status = case when t.status in ('completed', 'failed', 'cancelled') then t.status
                              else coalesce(n.status, t.status) end,
                progress = greatest(t.progress, excluded.progress),
                log = nullif(concat_ws(E'\n', t.log, n.log), ''),
                started_at = coalesce(t.started_at, excluded.started_at),
                completed_at = coalesce(t.completed_at, excluded.completed_at)
          where t.job_id = job;
    end loop;
end
$$;

-- steps: [{step_number, workflow_type, step_name, step_status, step_details?, step_error?, server_id?, host_id?, cluster_id?}]
create or replace function basalt.job_write_steps(job uuid, steps jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    step public.workflow_executions;
begin
    for step in select * from jsonb_populate_recordset(null::public.workflow_executions, steps) loop
        update public.workflow_executions w
           set step_status = coalesce(step.step_status, w.step_status),
               step_details = coalesce(w.step_details, '{}') || coalesce(step.step_details, '{}'),
               step_error = coalesce(step.step_error, w.step_error),
               step_started_at = coalesce(w.step_started_at, case when step.step_status <> 'pending' then now() end),
               step_completed_at = case when step.step_status in ('completed', 'failed', 'skipped', 'cancelled')
                                        then now() end
         where w.job_id = job and w.step_number = step.step_number;
        continue when found;
        insert into public.workflow_executions
               (job_id, workflow_type, step_number, step_name, step_status, step_details, step_error, server_id, host_id,
                cluster_id, step_started_at, step_completed_at)
        values (job, step.workflow_type, step.step_number, step.step_name, coalesce(step.step_status, 'pending'),
                step.step_details, step.step_error, step.server_id, step.host_id, step.cluster_id,
                case when step.step_status <> 'pending' then now() end,
                case when step.step_status in ('completed', 'failed', 'skipped', 'cancelled') then now() end);
    end loop;
end
$$;

-- commands: rows of idrac_commands, already free of secrets.
create or replace function basalt.job_write_commands(job uuid, commands jsonb) returns void
language sql security definer set search_path = '' as $$
    insert into public.idrac_commands
           ("timestamp", server_id, job_id, task_id, command_type, endpoint, full_url, request_headers, request_body,
            status_code, response_time_ms, response_body, success, error_message, initiated_by, source, operation_type)
    select coalesce(c."timestamp", now()), s.id, j.id, t.id, c.command_type, c.endpoint, c.full_url, c.request_headers,
           c.request_body, c.status_code, c.response_time_ms, c.response_body, coalesce(c.success, false), c.error_message,
           j.created_by, coalesce(c.source, 'job_executor'), c.operation_type
      from jsonb_populate_recordset(null::public.idrac_commands, commands) c
      join public.jobs j on j.id = job
      left join public.servers s on s.id = c.server_id
      left join public.job_tasks t on t.id = c.task_id and t.job_id = job
$$;

-- journal: [{step, state, detail}], in the order of events: a step may come twice.
create or replace function basalt.job_write_journal(job uuid, entries jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    e record;
begin
    for e in select * from jsonb_to_recordset(entries) as r (step text, state text, detail jsonb) loop
        insert into basalt.job_journal (job_id, step, state, detail) values (job, e.step, e.state, e.detail)
        on conflict (job_id, step) do update set state = excluded.state, detail = excluded.detail, at = now();
    end loop;
end
$$;

create or replace function basalt.job_write(lease basalt.job_leases, request jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    job  uuid := lease.job_id;
    seq  bigint := (request ->> 'seq')::bigint;
    gone text[] := case when jsonb_typeof(request -> 'remove') = 'array'
                        then array(select jsonb_array_elements_text(request -> 'remove')) end;
begin
    if seq <= lease.last_seq then
        return; -- its answer was lost on the way, not the report
    end if;
    update basalt.job_leases l set last_seq = coalesce(seq, l.last_seq) where l.job_id = job;
    if jsonb_typeof(request -> 'tasks') = 'array' then
        perform basalt.job_write_tasks(job, request -> 'tasks');
    end if;
    if jsonb_typeof(request -> 'steps') = 'array' then
        perform basalt.job_write_steps(job, request -> 'steps');
    end if;
    if jsonb_typeof(request -> 'commands') = 'array' then
        perform basalt.job_write_commands(job, request -> 'commands');
    end if;
    if jsonb_typeof(request -> 'audit') = 'array' then
        insert into public.audit_logs (user_id, action, details)
        select j.created_by, a.action, coalesce(a.details, '{}') || jsonb_build_object('job_id', j.id)
          from jsonb_to_recordset(request -> 'audit') as a (action text, details jsonb)
          join public.jobs j on j.id = job;
    end if;
    if jsonb_typeof(request -> 'journal') = 'array' then
        perform basalt.job_write_journal(job, request -> 'journal');
    end if;
    if request ?| array['details', 'remove', 'console'] then
        update public.jobs j
           set details = basalt.job_merge(j.details, request -> 'details', gone, request -> 'console')
         where j.id = job and j.status = 'running';
    end if;
end
$$;

-- request: token, seq (growing), and any of details {merged}, remove [keys], console [lines], tasks, steps, commands,
-- journal, audit [{action, details}].
-- Answer: status, graceful_cancel: how the executor learns that its job was cancelled. The row of a job that is final
-- does not change any more; its tasks and commands are history and still come in.
create or replace function basalt.job_report(job uuid, request jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    perform basalt.job_write(basalt.job_hold(job, request ->> 'token'), request);
    return coalesce(basalt.job_state(job), '{"status": "gone"}');
end
$$;

-- As job_report, and ends the lease. status: completed, failed, cancelled, paused, or pending (given back: another
-- executor goes on from the journal). Answer: status as it is now, is_changed.
create or replace function basalt.job_finish(job uuid, request jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    wanted     text := request ->> 'status';
    is_changed boolean;
    lease      basalt.job_leases;
    final      public.jobs;
begin
    lease := basalt.job_hold(job, request ->> 'token');
    if wanted is null or wanted not in ('completed', 'failed', 'cancelled', 'paused', 'pending') then
        raise sqlstate 'PT400' using message = 'status must be completed, failed, cancelled, paused or pending';
    end if;
    perform basalt.job_write(lease, request);
    update public.jobs j set status = wanted::public.job_status where j.id = job and j.status = 'running'
    returning * into final;
    is_changed := found;
    if not is_changed then
        select * into final from public.jobs j where j.id = job;
    end if;
    if wanted in ('pending', 'paused') and is_changed then
        delete from basalt.job_leases where job_id = job;
    else
        perform basalt.job_close(job, coalesce(final.status::text, 'cancelled'), case final.status
            when 'cancelled' then 'Cancelled by user' when 'failed' then 'Not finished: the job failed'
            else 'Not finished when the job ended' end);
    end if;
    if is_changed and wanted <> 'pending' then
        insert into public.audit_logs (user_id, action, details)
        values (final.created_by, 'job_' || wanted,
                jsonb_build_object('job_id', job, 'job_type', final.job_type, 'error', final.details -> 'error'));
    end if;
    return jsonb_build_object('status', final.status, 'is_changed', is_changed);
end
$$;

do $$
declare
    routine regprocedure;
begin
    for routine in
        select p.oid::regprocedure from pg_proc p
         where p.pronamespace = 'basalt'::regnamespace
           and p.proname in ('job_take', 'job_hold', 'job_state', 'job_renew', 'job_write_tasks', 'job_write_steps',
                             'job_write_commands', 'job_write_journal', 'job_write', 'job_report', 'job_finish')
    loop
        execute format('alter function %s owner to postgres', routine);
        execute format('revoke execute on function %s from public', routine);
    end loop;
end
$$;
grant execute on function basalt.job_renew(uuid, jsonb), basalt.job_report(uuid, jsonb), basalt.job_finish(uuid, jsonb)
    to basalt_internal;

set local check_function_bodies to default;
