-- Who may read and write: profiles, user_roles.

create policy "Admins view all profiles" on profiles
    for select
    using (has_role(auth.uid(), 'admin'));
create policy "Operators view all profiles" on profiles
    for select
    using (has_role(auth.uid(), 'operator'));
create policy "Users can update own profile" on profiles
    for update
    using (auth.uid() = id);
create policy "Users view own profile" on profiles
    for select
    using (auth.uid() = id);
-- The interface lets administrators disable directory users; no policy allowed it.
create policy "Admins can update profiles" on profiles
    for update
    using (has_role(auth.uid(), 'admin'));

create policy "Admins can manage roles" on user_roles
    for all
    using (has_role(auth.uid(), 'admin'));
-- Who is an administrator is for operators and administrators; everybody sees their own roles.
create policy "Users can view all roles" on user_roles
    for select
    using (auth.uid() = user_id or has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
