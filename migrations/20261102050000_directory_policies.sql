-- Who may read and write: idm_settings, idm_group_mappings, idm_auth_sessions, managed_users, break_glass_admins, auth_rate_limits, api_tokens.

create policy "Admins can manage IDM settings" on idm_settings
    for all
    using (has_role(auth.uid(), 'admin'));

create policy "Admins can manage group mappings" on idm_group_mappings
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view group mappings" on idm_group_mappings
    for select
    using (auth.uid() is not null);

create policy "Admins can view all sessions" on idm_auth_sessions
    for select
    using (has_role(auth.uid(), 'admin'));
create policy "Users can view own sessions" on idm_auth_sessions
    for select
    using (auth.uid() = user_id);
-- Anyone could end or forge sessions. The interface ends them as an administrator.
create policy "System can manage sessions" on idm_auth_sessions
    for all to service_role
    using (true)
    with check (true);
create policy "Admins can update sessions" on idm_auth_sessions
    for update
    using (has_role(auth.uid(), 'admin'));
create policy "Admins can delete sessions" on idm_auth_sessions
    for delete
    using (has_role(auth.uid(), 'admin'));

create policy "Admins can manage managed_users" on managed_users
    for all
    using (has_role(auth.uid(), 'admin'));
create policy "Authenticated users can view managed_users" on managed_users
    for select
    using (auth.uid() is not null);
-- Directory names and roles were readable without signing in.
create policy "System can select managed_users" on managed_users
    for select to service_role
    using (true);

create policy "Admins can manage break-glass accounts" on break_glass_admins
    for all
    using (has_role(auth.uid(), 'admin'));

create policy "Admins can view rate limits" on auth_rate_limits
    for select
    using (has_role(auth.uid(), 'admin'));
-- Anyone could lock a login or clear its lock.
create policy "System can manage rate limits" on auth_rate_limits
    for all to service_role
    using (true)
    with check (true);

create policy "Users can create own tokens" on api_tokens
    for insert
    with check (auth.uid() = user_id);
create policy "Users can delete own tokens" on api_tokens
    for delete
    using (auth.uid() = user_id);
create policy "Users can view own tokens" on api_tokens
    for select
    using (auth.uid() = user_id);
