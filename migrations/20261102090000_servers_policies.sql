-- Who may read and write: servers.

create policy "Admins and operators can insert servers" on servers
    for insert
    with check (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Admins and operators can update servers" on servers
    for update
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Admins can delete servers" on servers
    for delete
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view servers" on servers
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage server groups" on server_groups
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view server groups" on server_groups
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage group members" on server_group_members
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view group members" on server_group_members
    for select
    using (auth.uid() is not null);

create policy "Authenticated users can view server health" on server_health
    for select
    using (auth.uid() is not null);
-- The interface stores a reading that an operator took.
create policy "System can insert server health" on server_health
    for insert to service_role
    with check (true);
create policy "Admins and operators can insert server health" on server_health
    for insert
    with check (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));

create policy "Authenticated users can view event logs" on server_event_logs
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert event logs" on server_event_logs
    for insert to service_role
    with check (true);

create policy "Admins and operators can manage server drives" on server_drives
    for all
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));
create policy "Authenticated users can view server drives" on server_drives
    for select
    using (auth.uid() is not null);

create policy "Authenticated users can view server NICs" on server_nics
    for select to authenticated
    using (true);
create policy "Operators can manage server NICs" on server_nics
    for all to authenticated
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));

-- Inventory is for everybody to read and for operators to change.
create policy "Authenticated users can view server memory" on server_memory
    for select to authenticated
    using (true);
create policy "Admins and operators can manage server memory" on server_memory
    for all to authenticated
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));

create policy "Admins and operators can manage firmware inventory" on server_firmware_inventory
    for all
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));
create policy "Authenticated users can view firmware inventory" on server_firmware_inventory
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert firmware inventory" on server_firmware_inventory
    for insert to service_role
    with check (true);

create policy "Authenticated users can view boot config history" on server_boot_config_history
    for select to authenticated
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert boot config history" on server_boot_config_history
    for insert to service_role
    with check (true);
