-- vCenter: when the next synchronisation is due, and how many machines lie on a datastore.

create function set_vcenter_initial_next_sync() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if new.sync_enabled and new.next_sync_at is null then
        new.next_sync_at := coalesce(new.last_sync, now()) + make_interval(mins => new.sync_interval_minutes);
    end if;
    return new;
end
$$;

create trigger trigger_set_vcenter_initial_next_sync
    before insert on vcenters
    for each row execute function set_vcenter_initial_next_sync();

create function update_vcenter_next_sync() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    new.next_sync_at := case when new.sync_enabled
        then coalesce(new.last_sync, now()) + make_interval(mins => new.sync_interval_minutes) end;
    return new;
end
$$;

create trigger trigger_update_vcenter_next_sync
    before update of sync_enabled, sync_interval_minutes, last_sync on vcenters
    for each row execute function update_vcenter_next_sync();

-- Counts anew for the datastore that was left and for the one that was joined.
create function update_datastore_vm_count() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update vcenter_datastores d
       set vm_count = (select count(*) from vcenter_datastore_vms v where v.datastore_id = d.id)
     where d.id in (old.datastore_id, new.datastore_id);
    return null;
end
$$;

create trigger trigger_update_datastore_vm_count
    after insert or update or delete on vcenter_datastore_vms
    for each row execute function update_datastore_vm_count();
