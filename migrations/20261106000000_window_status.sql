-- A window may have several jobs (one per cluster): it has failed when one has, and is completed when all are.

create or replace function sync_maintenance_window_status() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update maintenance_windows w
       set status = s.status,
           started_at = case when s.status = 'in_progress' then coalesce(w.started_at, now()) else w.started_at end,
           completed_at = case when s.status in ('completed', 'failed', 'cancelled') then now() else w.completed_at end
      from (select m.id,
                   case when bool_or(j.status = 'failed') then 'failed'
                        when new.status = 'paused' then 'paused'
                        when bool_or(j.status = 'running') then 'in_progress'
                        when bool_or(not is_final(j.status)) then m.status
                        when bool_or(j.status = 'cancelled') then 'cancelled'
                        else 'completed'
                   end as status
              from maintenance_windows m
              join jobs j on j.id = any (m.job_ids)
             where m.job_ids @> array[new.id]
             group by m.id) s
     where w.id = s.id;
    return null;
end
$$;
