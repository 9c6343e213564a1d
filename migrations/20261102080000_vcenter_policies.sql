-- Who may read and write: vcenter.

create policy "Admins can manage vcenters" on vcenters
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view vcenters" on vcenters
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage vcenter hosts" on vcenter_hosts
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view vcenter hosts" on vcenter_hosts
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage vcenter clusters" on vcenter_clusters
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view vcenter clusters" on vcenter_clusters
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage vcenter VMs" on vcenter_vms
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view vcenter VMs" on vcenter_vms
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage VM snapshots" on vcenter_vm_snapshots
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view VM snapshots" on vcenter_vm_snapshots
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert VM snapshots" on vcenter_vm_snapshots
    for insert to service_role
    with check (true);

create policy "Admins and operators can manage VM custom attributes" on vcenter_vm_custom_attributes
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view VM custom attributes" on vcenter_vm_custom_attributes
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert VM custom attributes" on vcenter_vm_custom_attributes
    for insert to service_role
    with check (true);

create policy "Admins and operators can manage vcenter datastores" on vcenter_datastores
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view vcenter datastores" on vcenter_datastores
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage datastore hosts" on vcenter_datastore_hosts
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view datastore hosts" on vcenter_datastore_hosts
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage datastore VMs" on vcenter_datastore_vms
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view datastore VMs" on vcenter_datastore_vms
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert datastore VMs" on vcenter_datastore_vms
    for insert to service_role
    with check (true);

create policy "Admins and operators can manage vcenter networks" on vcenter_networks
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view vcenter networks" on vcenter_networks
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage network VMs" on vcenter_network_vms
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view network VMs" on vcenter_network_vms
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage vcenter alarms" on vcenter_alarms
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view vcenter alarms" on vcenter_alarms
    for select
    using (auth.uid() is not null);
