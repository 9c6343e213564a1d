-- A server and the ESXi host that runs on it find each other by the service tag.

create function auto_link_server_vcenter() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if coalesce(new.service_tag, '') <> '' and new.vcenter_host_id is null then
        select id into new.vcenter_host_id
          from vcenter_hosts
         where serial_number = new.service_tag and server_id is null
         limit 1;
    end if;
    return new;
end
$$;

create trigger trigger_auto_link_vcenter
    before insert or update of service_tag on servers
    for each row execute function auto_link_server_vcenter();

-- The way back is written afterwards: before the insert there is no server row that the host could refer to.
create function back_link_vcenter_host() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update vcenter_hosts
       set server_id = new.id
     where id = new.vcenter_host_id and server_id is null and serial_number = new.service_tag;
    return null;
end
$$;

create trigger trigger_back_link_vcenter
    after insert or update of service_tag on servers
    for each row when (new.vcenter_host_id is not null)
    execute function back_link_vcenter_host();
