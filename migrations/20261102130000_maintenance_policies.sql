-- Who may read and write: maintenance_windows, maintenance_blocker_resolutions, cluster_safety_checks, server_group_safety_checks, scheduled_safety_checks.

create policy "Admins and operators can manage maintenance windows" on maintenance_windows
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view maintenance windows" on maintenance_windows
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage blocker resolutions" on maintenance_blocker_resolutions
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view blocker resolutions" on maintenance_blocker_resolutions
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can insert cluster safety checks" on cluster_safety_checks
    for insert
    with check (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view cluster safety checks" on cluster_safety_checks
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can insert group safety checks" on server_group_safety_checks
    for insert
    with check (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view group safety checks" on server_group_safety_checks
    for select
    using (auth.uid() is not null);

create policy "Admins can manage scheduled checks" on scheduled_safety_checks
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view scheduled checks" on scheduled_safety_checks
    for select
    using (auth.uid() is not null);
