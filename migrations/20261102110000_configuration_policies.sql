-- Who may read and write: bios_configurations, idrac_network_configurations, scp_backups, virtual_media_sessions.

create policy "Admins and operators can manage BIOS configs" on bios_configurations
    for all to authenticated
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view BIOS configs" on bios_configurations
    for select to authenticated
    using (auth.uid() is not null);

create policy "Admins and operators can manage network configs" on idrac_network_configurations
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view network configs" on idrac_network_configurations
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert network configs" on idrac_network_configurations
    for insert to service_role
    with check (true);

create policy "Admins and operators can manage SCP backups" on scp_backups
    for all to authenticated
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view SCP backups" on scp_backups
    for select to authenticated
    using (auth.uid() is not null);

create policy "Admins and operators can manage virtual media" on virtual_media_sessions
    for all to authenticated
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
