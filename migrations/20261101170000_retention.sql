-- Housekeeping: device calls and jobs older than the settings allow.

create function cleanup_activity_logs() returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    settings activity_settings;
begin
    select * into settings from activity_settings limit 1;
    if not found or not settings.auto_cleanup_enabled then
        return;
    end if;
    delete from idrac_commands where created_at < now() - make_interval(days => settings.log_retention_days);
    update activity_settings set last_cleanup_at = now() where id = settings.id;
end
$$;

create function cancel_jobs(job_ids uuid[], reason text) returns void
language sql volatile set search_path = public, pg_temp as $$
    update jobs
       set status = 'cancelled',
           completed_at = now(),
           details = coalesce(details, '{}') || jsonb_build_object('cancellation_reason', reason)
     where id = any (job_ids) and not is_final(status);
$$;

-- A paused job is never stale, and neither is one that is scheduled for later.
create function cleanup_old_jobs() returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    settings activity_settings;
    old_jobs uuid[];
begin
    select * into settings from activity_settings limit 1;
    if not found then
        return;
    end if;

    if settings.auto_cancel_stale_jobs then
        perform cancel_jobs(
            array(select id from jobs
                   where status = 'pending'
                     and greatest(created_at, schedule_at) < now() - make_interval(hours => settings.stale_pending_hours)),
            format('Auto-cancelled: stuck in pending state for >%s hours', settings.stale_pending_hours));
        perform cancel_jobs(
            array(select id from jobs
                   where status = 'running'
                     and started_at < now() - make_interval(hours => settings.stale_running_hours)),
            format('Auto-cancelled: stuck in running state for >%s hours', settings.stale_running_hours));
        perform cancel_jobs(
            array(select child.id from jobs child join jobs parent on parent.id = child.parent_job_id
                   where child.status in ('pending', 'running') and is_final(parent.status)),
            'Auto-cancelled: parent job completed/failed/cancelled');
    end if;

    if settings.job_auto_cleanup_enabled then
        old_jobs := array(
            select id from jobs
             where is_final(status) and completed_at < now() - make_interval(days => settings.job_retention_days));
        -- These refer to a job without a rule for its deletion; one of them would stop the whole clean-up.
        update failover_events set cleanup_job_id = null where cleanup_job_id = any (old_jobs);
        update replication_targets set deployed_job_id = null where deployed_job_id = any (old_jobs);
        update server_boot_config_history set job_id = null where job_id = any (old_jobs);
        update server_group_safety_checks set job_id = null where job_id = any (old_jobs);
        update zfs_target_templates set preparation_job_id = null where preparation_job_id = any (old_jobs);
        delete from jobs where id = any (old_jobs);
    end if;

    update activity_settings set job_last_cleanup_at = now() where id = settings.id;
end
$$;
