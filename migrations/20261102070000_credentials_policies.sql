-- Who may read and write: credential_sets, credential_ip_ranges, ssh_keys, ssh_key_deployments.

create policy "Admins can manage credential sets" on credential_sets
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Operators can view credential sets" on credential_sets
    for select
    using (has_role(auth.uid(), 'operator') or has_role(auth.uid(), 'admin'));

create policy "Admins can manage IP ranges" on credential_ip_ranges
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Operators can view IP ranges" on credential_ip_ranges
    for select
    using (has_role(auth.uid(), 'operator') or has_role(auth.uid(), 'admin'));

create policy "Admins can manage SSH keys" on ssh_keys
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Operators can view SSH keys" on ssh_keys
    for select
    using (has_role(auth.uid(), 'operator') or has_role(auth.uid(), 'admin'));

create policy "Admins can manage SSH key deployments" on ssh_key_deployments
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Operators can view SSH key deployments" on ssh_key_deployments
    for select
    using (has_role(auth.uid(), 'operator') or has_role(auth.uid(), 'admin'));
