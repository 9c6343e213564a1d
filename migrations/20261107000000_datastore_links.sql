-- A link that stays on its datastore changes no count, and a count that is right is not written again: a first
-- synchronisation brings thousands of links to one datastore.
create or replace function update_datastore_vm_count() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    machines bigint;
    store uuid;
begin
    if tg_op = 'UPDATE' and old.datastore_id = new.datastore_id then
        return null;
    end if;
    foreach store in array array[old.datastore_id, new.datastore_id] loop
        select count(*) into machines from vcenter_datastore_vms v where v.datastore_id = store;
        update vcenter_datastores d set vm_count = machines where d.id = store and d.vm_count is distinct from machines;
    end loop;
    return null;
end
$$;
