-- Who may read and write: replication.

create policy "Admins can manage ZFS templates" on zfs_target_templates
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Operators can view ZFS templates" on zfs_target_templates
    for select
    using (has_role(auth.uid(), 'operator') or has_role(auth.uid(), 'admin'));

create policy "Admins and operators can manage replication targets" on replication_targets
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view replication targets" on replication_targets
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage replication_pairs" on replication_pairs
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view replication_pairs" on replication_pairs
    for select
    using (auth.uid() is not null);

create policy "Allow authenticated read access to zfs_agents" on zfs_agents
    for select to authenticated
    using (true);
create policy "Allow operators and admins to manage zfs_agents" on zfs_agents
    for all to authenticated
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));

create policy "Allow authenticated read access to agent_events" on agent_events
    for select to authenticated
    using (true);
create policy "Allow operators and admins to manage agent_events" on agent_events
    for all to authenticated
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));

create policy "Allow authenticated read access to agent_jobs" on agent_jobs
    for select to authenticated
    using (true);
create policy "Allow operators and admins to manage agent_jobs" on agent_jobs
    for all to authenticated
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));

create policy "Admins and operators can manage protection groups" on protection_groups
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view protection groups" on protection_groups
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage protected VMs" on protected_vms
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view protected VMs" on protected_vms
    for select
    using (auth.uid() is not null);

create policy "Allow authenticated users to view network mappings" on protection_group_network_mappings
    for select to authenticated
    using (true);
-- Failover networks are for operators to change.
create policy "Admins and operators can manage network mappings" on protection_group_network_mappings
    for all to authenticated
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));

create policy "Admins and operators can manage replication jobs" on replication_jobs
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view replication jobs" on replication_jobs
    for select
    using (auth.uid() is not null);

create policy "Authenticated users can view replication_metrics" on replication_metrics
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert replication_metrics" on replication_metrics
    for insert to service_role
    with check (true);

create policy "Admins and operators can manage failover_events" on failover_events
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view failover_events" on failover_events
    for select
    using (auth.uid() is not null);

create policy "Authenticated users can view sla_violations" on sla_violations
    for select
    using (auth.uid() is not null);
-- Operators resolve violations in the interface; the rest is the executor's.
create policy "System can insert sla_violations" on sla_violations
    for insert to service_role
    with check (true);
create policy "System can update sla_violations" on sla_violations
    for update to service_role
    using (true);
create policy "Admins and operators can update sla_violations" on sla_violations
    for update
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
