-- Replication: heartbeats of agents, use of templates, runs that finished without saying so.

create function upsert_agent_heartbeat(
    p_hostname        text,
    p_agent_version   text,
    p_api_url         text,
    p_capabilities    jsonb default '{}',
    p_pool_name       text default null,
    p_pool_size_bytes bigint default null,
    p_pool_free_bytes bigint default null,
    p_pool_health     text default null
) returns uuid
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    agent uuid;
begin
    -- hostname is not unique in the table, so two first heartbeats of one agent are kept apart by a lock.
    perform pg_advisory_xact_lock(hashtext('zfs_agents'), hashtext(p_hostname));
    update zfs_agents
       set agent_version   = p_agent_version,
           api_url         = p_api_url,
           capabilities    = p_capabilities,
           pool_name       = coalesce(p_pool_name, pool_name),
           pool_size_bytes = coalesce(p_pool_size_bytes, pool_size_bytes),
           pool_free_bytes = coalesce(p_pool_free_bytes, pool_free_bytes),
           pool_health     = coalesce(p_pool_health, pool_health),
           status          = 'online',
           last_seen_at    = now()
     where id = (select id from zfs_agents where hostname = p_hostname order by created_at limit 1)
    returning id into agent;
    if agent is null then
        insert into zfs_agents (hostname, agent_version, api_url, capabilities, pool_name, pool_size_bytes,
                                pool_free_bytes, pool_health, status, last_seen_at)
        values (p_hostname, p_agent_version, p_api_url, p_capabilities, p_pool_name, p_pool_size_bytes,
                p_pool_free_bytes, p_pool_health, 'online', now())
        returning id into agent;
    end if;
    return agent;
end
$$;

-- Called by the interface. A viewer may call it too, but changes nothing.
create function mark_stale_agents_offline() returns integer
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    changed integer;
begin
    if auth.uid() is not null
       and not has_role(auth.uid(), 'admin') and not has_role(auth.uid(), 'operator') then
        return 0;
    end if;
    update zfs_agents
       set status = 'offline'
     where status in ('online', 'idle', 'busy') and last_seen_at < now() - interval '5 minutes';
    get diagnostics changed = row_count;
    return changed;
end
$$;

create function increment_template_deployment(template_id uuid) returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    update zfs_target_templates
       set deployment_count = coalesce(deployment_count, 0) + 1, last_deployed_at = now()
     where id = template_id;
end
$$;

-- Finishes replication runs whose console or counters say that they are done although nobody closed them.
create function auto_complete_stale_replication_jobs() returns jsonb
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    stale    record;
    counts   text[];
    done_ids text[] := '{}';
begin
    for stale in
        select id, details, details ->> 'console_log' as console,
               substring(details ->> 'vms_synced' from '^\d{1,9}$')::integer as synced,
               substring(details ->> 'total_vms' from '^\d{1,9}$')::integer as total
          from jobs
         where job_type = 'run_replication_sync' and status = 'running'
           and started_at < now() - interval '5 minutes'
           for update skip locked
    loop
        continue when not coalesce(
            stale.console ~* 'sync complete.*vms synced|transfer complete|verified snapshot on site b|all.*vms synced'
            or (stale.synced > 0 and stale.synced >= coalesce(stale.total, 1)), false);

        counts := coalesce(
            regexp_match(stale.console, '(\d{1,9})/(\d{1,9})\s*VMs?\s*synced'),
            regexp_match(stale.console, 'All\s+(\d{1,9})()\s+VMs?\s+synced'));
        update jobs
           set status = 'completed',
               completed_at = now(),
               details = details || jsonb_build_object(
                   'progress_percent', 100,
                   'current_step', 'Complete (auto-recovered)',
                   'recovered_at', now(),
                   'recovery_reason', 'console or counters show that the run had finished',
                   'vms_synced', coalesce(counts[1]::integer, stale.synced, 0),
                   'total_vms', coalesce(nullif(counts[2], '')::integer, counts[1]::integer, stale.total, 0))
         where id = stale.id;
        done_ids := done_ids || stale.id::text;
    end loop;
    return jsonb_build_object(
        'updated_count', cardinality(done_ids), 'job_ids', done_ids, 'executed_at', now());
end
$$;
