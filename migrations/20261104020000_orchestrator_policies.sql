-- Orchestrator: who may read and write. Roles are those of the product; a token's role claim says nothing about them.

grant usage on schema orchestrator to authenticated, service_role;
grant select, insert, update, delete on all tables in schema orchestrator to authenticated;
grant all on all tables in schema orchestrator to service_role;
-- Sessions and queues are between the executor and its devices.
revoke all on orchestrator.redfish_sessions, orchestrator.task_queue from authenticated;

revoke execute on all functions in schema orchestrator from public;
grant execute on function orchestrator.set_host_run_state(uuid, text, text, jsonb),
    orchestrator.is_allowed_run_transition(text, text) to authenticated, service_role;
grant execute on function orchestrator.sync_to_local_api(text, uuid) to service_role;

do $$
declare
    name text;
begin
    for name in select tablename from pg_tables where schemaname = 'orchestrator' loop
        execute format('alter table orchestrator.%I enable row level security', name);
        execute format('create policy "System can manage %1$s" on orchestrator.%1$I '
                       'for all to service_role using (true) with check (true)', name);
    end loop;

    -- Everybody who is signed in sees them, operators change them.
    foreach name in array array['hosts', 'update_plans', 'plan_targets', 'artifacts', 'host_runs'] loop
        execute format('create policy "Signed-in users can view %1$s" on orchestrator.%1$I '
                       'for select to authenticated using (auth.uid() is not null)', name);
        execute format('create policy "Admins and operators can manage %1$s" on orchestrator.%1$I '
                       'for all to authenticated '
                       'using (has_role(auth.uid(), ''admin'') or has_role(auth.uid(), ''operator''))', name);
    end loop;

    -- Operators see them, administrators change them.
    foreach name in array array['credentials', 'system_config'] loop
        execute format('create policy "Operators can view %1$s" on orchestrator.%1$I for select to authenticated '
                       'using (has_role(auth.uid(), ''admin'') or has_role(auth.uid(), ''operator''))', name);
        execute format('create policy "Admins can manage %1$s" on orchestrator.%1$I for all to authenticated '
                       'using (has_role(auth.uid(), ''admin''))', name);
    end loop;
end
$$;

create policy "Signed-in users can view system_events" on orchestrator.system_events
    for select to authenticated
    using (auth.uid() is not null);
create policy "Admins and operators can view background_jobs" on orchestrator.background_jobs
    for select to authenticated
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
