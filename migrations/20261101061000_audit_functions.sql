-- The audit log is append-only, and a signed-in caller writes only in the own name and at the present time.

create function stamp_audit_log() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    if auth.uid() is not null then
        new.user_id := auth.uid();
        new.timestamp := now();
        new.created_at := now();
        -- How somebody signed in is known to the functions that sign him in, not to him.
        new.auth_source := null;
        new.auth_method := null;
        new.idm_user_dn := null;
        new.idm_groups_at_login := null;
    end if;
    return new;
end
$$;

create trigger stamp_audit_log
    before insert on audit_logs
    for each row execute function stamp_audit_log();

-- The one change allowed is to forget a user who is deleted.
create function keep_audit_log() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    if tg_op = 'UPDATE' and new.user_id is null and to_jsonb(new) - 'user_id' = to_jsonb(old) - 'user_id' then
        return new;
    end if;
    raise exception 'The audit log is append-only' using errcode = '42501';
end
$$;

create trigger keep_audit_log
    before update or delete on audit_logs
    for each row execute function keep_audit_log();
create trigger keep_audit_log_whole
    before truncate on audit_logs
    for each statement execute function keep_audit_log();

create function stamp_user_activity() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    if auth.uid() is not null then
        new.user_id := auth.uid();
    end if;
    return new;
end
$$;

create trigger stamp_user_activity
    before insert on user_activity
    for each row execute function stamp_user_activity();
