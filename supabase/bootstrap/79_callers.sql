-- What the user behind a token is by now: 'gone' (deleted, banned, or the session ended), 'without_role' when roles are asked for
-- and the user holds none of them, else 'fine'. One question for what belongs to auth and what belongs to the product.
create or replace function basalt.caller_state(caller uuid, session_id uuid, roles text[]) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
    if not exists (select from auth.users u
                    where u.id = caller and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now()))
       or (session_id is not null
           and not exists (select from auth.sessions s where s.id = session_id and s.user_id = caller)) then
        return 'gone';
    end if;
    if roles is not null and not exists (select from public.user_roles r where r.user_id = caller and r.role::text = any (roles)) then
        return 'without_role';
    end if;
    return 'fine';
end
$$;

alter function basalt.caller_state(uuid, uuid, text[]) owner to postgres;
revoke execute on function basalt.caller_state(uuid, uuid, text[]) from public;
grant execute on function basalt.caller_state(uuid, uuid, text[]) to basalt_internal;
