-- Orchestrator: state changes of a host run, the link to the product's servers, the signal to the local API.

create trigger update_hosts_updated_at
    before update on orchestrator.hosts
    for each row execute function public.update_updated_at_column();
create trigger update_host_runs_updated_at
    before update on orchestrator.host_runs
    for each row execute function public.update_updated_at_column();
create trigger update_system_config_updated_at
    before update on orchestrator.system_config
    for each row execute function public.update_updated_at_column();
create trigger encrypt_redfish_sessions_secrets
    before insert or update on orchestrator.redfish_sessions
    for each row execute function public.encrypt_secret_columns('session_token');

create function orchestrator.link_host_to_server() returns trigger
language plpgsql security definer set search_path = orchestrator, pg_temp as $$
begin
    if new.server_id is null then
        select id into new.server_id
          from public.servers
         where service_tag = new.service_tag or ip_address = new.mgmt_ip
         order by service_tag is not distinct from new.service_tag desc
         limit 1;
    end if;
    return new;
end
$$;

create trigger link_host_to_server
    before insert or update of service_tag, mgmt_ip on orchestrator.hosts
    for each row execute function orchestrator.link_host_to_server();

-- pending -> running, cancelled; running -> completed, failed, cancelled, retrying; retrying -> running, failed, cancelled.
create function orchestrator.is_allowed_run_transition(from_state text, to_state text) returns boolean
language sql immutable parallel safe set search_path = orchestrator, pg_temp as $$
    select from_state = to_state and from_state in ('pending', 'running', 'retrying') or case from_state
        when 'pending' then to_state in ('running', 'cancelled')
        when 'running' then to_state in ('completed', 'failed', 'cancelled', 'retrying')
        when 'retrying' then to_state in ('running', 'failed', 'cancelled')
        else false
    end
$$;

-- Moves a run from one state to another if it is still in the first; false means that somebody else was faster.
-- A null p_ctx keeps the context. running -> running only writes the context.
create function orchestrator.set_host_run_state(p_id uuid, p_from text, p_to text, p_ctx jsonb) returns boolean
language plpgsql volatile set search_path = orchestrator, pg_temp as $$
begin
    if not is_allowed_run_transition(p_from, p_to) then
        raise exception 'A host run cannot go from % to %', p_from, p_to using errcode = '23514';
    end if;
    update host_runs
       set state = p_to,
           ctx = coalesce(p_ctx, ctx),
           started_at = case when p_to = 'running' then coalesce(started_at, now()) else started_at end,
           completed_at = case when p_to in ('completed', 'failed', 'cancelled') then now() end
     where id = p_id and state = p_from;
    return found;
end
$$;

-- Tells the local API, which listens on sync_update, that a row changed.
create function orchestrator.sync_to_local_api(table_name text, record_id uuid) returns void
language plpgsql volatile set search_path = orchestrator, pg_temp as $$
begin
    perform pg_notify('sync_update', json_build_object(
        'table', table_name, 'id', record_id, 'timestamp', extract(epoch from now()))::text);
end
$$;
