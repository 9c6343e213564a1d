-- Sign-in helpers: what the login page may know, locks against guessing, API tokens.

-- The only thing that a caller may learn before signing in; no row while nothing is configured.
create function get_idm_auth_mode() returns table (auth_mode text, session_timeout_minutes integer)
language sql stable security definer set search_path = public, pg_temp as $$
    select auth_mode, session_timeout_minutes from idm_settings limit 1
$$;

-- Spellings of one name share one counter.
create function normal_identifier(identifier text) returns text
language sql immutable strict parallel safe set search_path = public, pg_temp as $$
    select lower(btrim(identifier))
$$;

-- A lock that has run out starts the count anew.
create function check_auth_rate_limit(
    p_identifier      text,
    p_identifier_type text,
    p_max_attempts    integer default 5,
    p_lockout_minutes integer default 30
) returns jsonb
language plpgsql volatile security definer set search_path = public, pg_temp as $$
declare
    entry        auth_rate_limits;
    seconds_left integer;
begin
    insert into auth_rate_limits (identifier, identifier_type)
    values (normal_identifier(p_identifier), p_identifier_type)
    on conflict (identifier, identifier_type) do nothing;
    update auth_rate_limits
       set attempt_count = 0, first_attempt_at = now(), locked_until = null
     where identifier = normal_identifier(p_identifier) and identifier_type = p_identifier_type
       and locked_until <= now();
    select * into entry from auth_rate_limits
     where identifier = normal_identifier(p_identifier) and identifier_type = p_identifier_type;

    seconds_left := coalesce(ceil(extract(epoch from entry.locked_until - now())), 0);
    return jsonb_build_object(
        'is_locked', seconds_left > 0,
        'attempt_count', entry.attempt_count,
        'remaining_attempts', greatest(p_max_attempts - entry.attempt_count, 0),
        'lockout_remaining_seconds', seconds_left);
end
$$;

-- Success forgets the identifier; failure counts up in one statement, so that parallel guesses are all counted.
create function record_auth_attempt(
    p_identifier      text,
    p_identifier_type text,
    p_success         boolean,
    p_max_attempts    integer default 5,
    p_lockout_minutes integer default 30
) returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    if p_success then
        delete from auth_rate_limits
         where identifier = normal_identifier(p_identifier) and identifier_type = p_identifier_type;
        return;
    end if;
    insert into auth_rate_limits as l (identifier, identifier_type, attempt_count, locked_until)
    values (normal_identifier(p_identifier), p_identifier_type, 1,
            case when p_max_attempts <= 1 then now() + make_interval(mins => p_lockout_minutes) end)
    on conflict (identifier, identifier_type) do update
       set attempt_count   = l.attempt_count + 1,
           last_attempt_at = now(),
           locked_until    = case when l.attempt_count + 1 >= p_max_attempts
                                  then now() + make_interval(mins => p_lockout_minutes)
                                  else l.locked_until end;
end
$$;

-- Owner of an unexpired token, or null.
create function validate_api_token(token_input text) returns uuid
language plpgsql volatile security definer set search_path = public, extensions, pg_temp as $$
declare
    owner uuid;
begin
    update api_tokens
       set last_used_at = now()
     where token_hash = encode(digest(token_input, 'sha256'), 'hex')
       and (expires_at is null or expires_at > now())
    returning user_id into owner;
    return owner;
end
$$;
