-- Who may read and write: audit_logs, user_activity, executor_heartbeats.

create policy "Admins can view audit logs" on audit_logs
    for select
    using (has_role(auth.uid(), 'admin'));
-- Nobody forges an entry in another name; stamp_audit_log() fills in who and when.
create policy "System can insert audit logs" on audit_logs
    for insert to service_role
    with check (true);
create policy "Users can write their own audit entries" on audit_logs
    for insert to authenticated
    with check (auth.uid() = user_id);

create policy "Admins can delete activity logs" on user_activity
    for delete
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view activity logs" on user_activity
    for select
    using (auth.uid() is not null);
-- Nobody forges an entry in another name; stamp_user_activity() fills in who.
create policy "Authenticated users can insert activity logs" on user_activity
    for insert
    with check (auth.uid() = user_id);

create policy "Authenticated users can view executor heartbeats" on executor_heartbeats
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can manage executor heartbeats" on executor_heartbeats
    for all to service_role
    using (true)
    with check (true);
