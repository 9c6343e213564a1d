-- Who may read and write: jobs, job_tasks, workflow_executions, idrac_commands, notification_logs.

create policy "Admins and operators can create jobs" on jobs
    for insert
    with check (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Admins and operators can delete jobs" on jobs
    for delete
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Admins and operators can update jobs" on jobs
    for update
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view jobs" on jobs
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can manage job tasks" on job_tasks
    for all
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "Authenticated users can view job tasks" on job_tasks
    for select
    using (auth.uid() is not null);

create policy "Admins and operators can update workflow executions" on workflow_executions
    for update to authenticated
    using (exists (
        select 1 from user_roles
         where user_roles.user_id = auth.uid() and user_roles.role in ('admin', 'operator')));
create policy "Authenticated users can view workflow executions" on workflow_executions
    for select to authenticated
    using (true);
-- Steps come from the executor; a viewer has no business writing them.
create policy "Admins and operators can insert workflow executions" on workflow_executions
    for insert to authenticated
    with check (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "System can manage workflow executions" on workflow_executions
    for all to service_role
    using (true)
    with check (true);

create policy "Authenticated users can view commands" on idrac_commands
    for select
    using (auth.uid() is not null);
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert commands" on idrac_commands
    for insert to service_role
    with check (true);

create policy "Admins can view notification logs" on notification_logs
    for select
    using (has_role(auth.uid(), 'admin'));
-- Written by the executor and the functions as service_role; not by callers without a role.
create policy "System can insert notification logs" on notification_logs
    for insert to service_role
    with check (true);
