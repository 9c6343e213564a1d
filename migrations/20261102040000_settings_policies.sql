-- Who may read and write: activity_settings, network_settings, notification_settings, idrac_settings, openmanage_settings, vcenter_settings, virtual_media_settings.

create policy "Admins can manage activity settings" on activity_settings
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view activity settings" on activity_settings
    for select
    using (auth.uid() is not null);

create policy "Admins can manage network settings" on network_settings
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view network settings" on network_settings
    for select
    using (auth.uid() is not null);

create policy "Admins can manage notification settings" on notification_settings
    for all
    using (has_role(auth.uid(), 'admin'));
-- Rows carry share users and stored secrets: operators and administrators only.
create policy "Operators can view notification settings" on notification_settings
    for select
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));

create policy "Admins can manage iDRAC settings" on idrac_settings
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view iDRAC settings" on idrac_settings
    for select
    using (auth.uid() is not null);

create policy "Admins can manage openmanage settings" on openmanage_settings
    for all
    using (has_role(auth.uid(), 'admin'));

create policy "Admins can manage vcenter settings" on vcenter_settings
    for all
    using (has_role(auth.uid(), 'admin'));

create policy "Admins can manage virtual media settings" on virtual_media_settings
    for all
    using (has_role(auth.uid(), 'admin'));
-- Rows carry share users and stored secrets: operators and administrators only.
create policy "Operators can view virtual media settings" on virtual_media_settings
    for select
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
