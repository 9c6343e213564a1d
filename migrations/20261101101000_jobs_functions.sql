-- The states of a job, guarded where every writer passes; and what the executor calls while a job runs.
--
--     pending -> running, cancelled, failed (refused before it started)
--     running -> completed, failed, cancelled, paused, pending (taken back)
--     paused  -> pending, cancelled, failed
-- completed, failed and cancelled are final.

create function is_final(status job_status) returns boolean
language sql immutable parallel safe set search_path = public, pg_temp as $$
    select status in ('completed', 'failed', 'cancelled')
$$;

create function is_allowed_job_transition(from_status job_status, to_status job_status) returns boolean
language sql immutable parallel safe set search_path = public, pg_temp as $$
    select case from_status
        when 'pending' then to_status in ('running', 'cancelled', 'failed')
        when 'running' then to_status in ('completed', 'failed', 'cancelled', 'paused', 'pending')
        when 'paused' then to_status in ('pending', 'cancelled', 'failed')
        else false
    end
$$;

create function guard_job_state() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        if auth.uid() is not null then
            new.created_by := auth.uid();
            if new.status <> 'pending' then
                raise exception 'A new job is pending, not %', new.status using errcode = '23514';
            end if;
        end if;
    elsif is_final(old.status) then
        -- A late write, of a worker that does not know that its job ended, changes nothing.
        if (new.status, new.details, new.started_at, new.completed_at, new.target_scope, new.job_type)
           is distinct from
           (old.status, old.details, old.started_at, old.completed_at, old.target_scope, old.job_type)
        then
            return null;
        end if;
        return new;
    elsif new.status <> old.status and not is_allowed_job_transition(old.status, new.status) then
        raise exception 'A job cannot go from % to %', old.status, new.status using errcode = '23514';
    end if;

    if new.status = 'paused' and coalesce(new.details ->> 'pause_reason', '') = '' then
        raise exception 'A paused job needs details.pause_reason' using errcode = '23514';
    end if;

    -- Started once; finished exactly when final, and never before it started.
    if tg_op = 'UPDATE' and old.started_at is not null then
        new.started_at := old.started_at;
    elsif new.status = 'running' then
        new.started_at := coalesce(new.started_at, now());
    end if;
    new.completed_at := case when is_final(new.status)
        then greatest(coalesce(new.completed_at, now()), new.started_at) end;
    return new;
end
$$;

create trigger guard_job_state
    before insert or update on jobs
    for each row execute function guard_job_state();

create function validate_job_priority() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if new.priority not in ('low', 'normal', 'high', 'critical') then
        raise exception 'Invalid priority: %. Must be one of low, normal, high, critical', new.priority;
    end if;
    return new;
end
$$;

create trigger validate_job_priority_trigger
    before insert or update on jobs
    for each row execute function validate_job_priority();

-- Appends to details.console_log in one statement, so that parallel writers keep each other's lines.
create function append_job_console_log(p_job_id uuid, p_log_entry text) returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    update jobs
       set details = jsonb_set(
               coalesce(details, '{}'), '{console_log}',
               case when jsonb_typeof(details -> 'console_log') = 'array' then details -> 'console_log' else '[]' end
               || to_jsonb(p_log_entry))
     where id = p_job_id;
end
$$;

-- True when a running job was finished by this call.
create function complete_replication_job(
    p_job_id            uuid,
    p_status            text,
    p_vms_synced        integer,
    p_total_vms         integer,
    p_bytes_transferred bigint,
    p_current_step      text default 'Complete',
    p_errors            jsonb default '[]'
) returns boolean
language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    update jobs
       set status = p_status::job_status,
           completed_at = now(),
           details = coalesce(details, '{}') || jsonb_build_object(
               'vms_synced', p_vms_synced,
               'total_vms', p_total_vms,
               'bytes_transferred', p_bytes_transferred,
               'current_step', p_current_step,
               'progress_percent', 100,
               'errors', p_errors)
     where id = p_job_id and status = 'running';
    return found;
end
$$;
