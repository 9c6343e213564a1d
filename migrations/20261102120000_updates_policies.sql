-- Who may read and write: firmware_packages, iso_images, esxi_upgrade_profiles, esxi_upgrade_history, update_availability_scans, update_availability_results.

create policy "Admins and operators can manage firmware packages" on firmware_packages
    for all
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));
create policy "Authenticated users can view firmware packages" on firmware_packages
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage ISO images" on iso_images
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view ISO images" on iso_images
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage ESXi profiles" on esxi_upgrade_profiles
    for all to authenticated
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view ESXi profiles" on esxi_upgrade_profiles
    for select to authenticated
    using (auth.uid() is not null);

create policy "Admins and operators can insert ESXi upgrade history" on esxi_upgrade_history
    for insert to authenticated
    with check (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view ESXi upgrade history" on esxi_upgrade_history
    for select to authenticated
    using (auth.uid() is not null);

create policy "Admins and operators can manage update scans" on update_availability_scans
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view update scans" on update_availability_scans
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage update results" on update_availability_results
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view update results" on update_availability_results
    for select
    using (auth.uid() is not null);
