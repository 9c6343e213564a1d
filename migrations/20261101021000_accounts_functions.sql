-- Roles of a user, and the profile and role that a new user of auth.users gets.

create function has_role(_user_id uuid, _role app_role) returns boolean
language sql stable security definer set search_path = public, pg_temp as $$
    select exists (select from user_roles where user_id = _user_id and role = _role)
$$;

-- The strongest role, or null.
create function get_user_role(_user_id uuid) returns app_role
language sql stable security definer set search_path = public, pg_temp as $$
    select role from user_roles where user_id = _user_id
     order by array_position(array['admin', 'operator', 'viewer']::app_role[], role)
     limit 1
$$;

-- An error here fails the sign-up, on purpose: a user without a profile and a role can do nothing.
create function handle_new_user() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into profiles (id, email, full_name)
    values (new.id, coalesce(new.email, ''), coalesce(new.raw_user_meta_data ->> 'full_name', new.email));
    insert into user_roles (user_id, role) values (new.id, 'viewer');
    return new;
end
$$;

create trigger on_auth_user_created
    after insert on auth.users
    for each row execute function handle_new_user();

-- A user may change the own profile, but not what the directory said about him or whether he is disabled.
create function guard_profile_update() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if auth.uid() is null or has_role(auth.uid(), 'admin') then
        return new;
    end if;
    if (new.id, new.email, new.created_at) is distinct from (old.id, old.email, old.created_at)
       or (new.idm_source, new.idm_user_dn, new.idm_uid, new.idm_groups, new.last_idm_sync, new.idm_disabled,
           new.idm_mail, new.idm_department, new.idm_title)
          is distinct from
          (old.idm_source, old.idm_user_dn, old.idm_uid, old.idm_groups, old.last_idm_sync, old.idm_disabled,
           old.idm_mail, old.idm_department, old.idm_title)
    then
        raise exception 'Only an administrator may change these fields of a profile' using errcode = '42501';
    end if;
    return new;
end
$$;

create trigger guard_profile_update
    before update on profiles
    for each row execute function guard_profile_update();
