-- Maintenance windows follow their jobs, are announced in time; clusters are checked on schedule.

create function sync_maintenance_window_status() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update maintenance_windows
       set status = case new.status
               when 'running' then 'in_progress'
               when 'completed' then 'completed'
               when 'failed' then 'failed'
               when 'cancelled' then 'cancelled'
               when 'paused' then 'paused'
               else status
           end,
           started_at = case when new.status = 'running' then coalesce(started_at, now()) else started_at end,
           completed_at = case when is_final(new.status) then now() else completed_at end
     where job_ids @> array[new.id];
    return null;
end
$$;

create trigger sync_window_on_job_status_change
    after update of status on jobs
    for each row when (old.status is distinct from new.status)
    execute function sync_maintenance_window_status();

-- Asks send-notification to announce the windows whose notice period has begun. Needs the two app.settings.
create function send_maintenance_reminders() returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    api_url     text := current_setting('app.settings.supabase_url', true);
    service_key text := current_setting('app.settings.service_role_key', true);
    due         maintenance_windows;
begin
    if coalesce(api_url, '') = '' or coalesce(service_key, '') = '' then
        return;
    end if;
    for due in
        update maintenance_windows
           set notification_sent = true
         where status = 'planned'
           and not coalesce(notification_sent, false)
           and planned_start > now()
           and planned_start <= now() + make_interval(hours => notify_before_hours)
        returning *
    loop
        perform net.http_post(
            url := api_url || '/functions/v1/send-notification',
            headers := jsonb_build_object(
                'Content-Type', 'application/json', 'Authorization', 'Bearer ' || service_key),
            body := jsonb_build_object(
                'notification_type', 'maintenance_reminder', 'maintenance_window', to_jsonb(due)));
    end loop;
end
$$;

-- One job per cluster, in the name of an administrator.
create function run_scheduled_cluster_safety_checks() returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    plan     scheduled_safety_checks;
    admin_id uuid;
begin
    select * into plan from scheduled_safety_checks where enabled limit 1;
    if not found then
        return;
    end if;
    select user_id into admin_id from user_roles where role = 'admin' order by created_at limit 1;
    if admin_id is null then
        raise exception 'No admin user found';
    end if;

    insert into jobs (job_type, created_by, target_scope, details)
    select 'cluster_safety_check', admin_id, '{}', jsonb_build_object(
               'cluster_name', cluster,
               'min_required_hosts', plan.min_required_hosts,
               'check_drs', true,
               'check_ha', true,
               'is_scheduled', true,
               'scheduled_check_id', plan.id)
      from (select distinct cluster from vcenter_hosts where cluster is not null) c
     where plan.check_all_clusters or cluster = any (plan.specific_clusters);

    update scheduled_safety_checks set last_run_at = now(), updated_at = now() where id = plan.id;
end
$$;

insert into scheduled_safety_checks default values;
