-- Passwords that forms put into the details of a job: stored encrypted, handed in clear only to the executor that claims it.
--
-- Everybody who is signed in may read jobs, and every change of a job goes out over realtime.

create function is_secret_key(key text) returns boolean
language sql immutable parallel safe set search_path = public, pg_temp as $$
    select key ~* '(password|passwd|passphrase|secret|private_?key|api_?key|auth_?token|session_?token)$|^(pwd|token)$'
$$;

-- Encrypts (or decrypts) the text under every secret key, at any depth. Names that end in _encrypted are the caller's affair.
create function map_job_secrets(document jsonb, key text, is_encrypting boolean) returns jsonb
language plpgsql volatile set search_path = public, pg_temp as $$
declare
    name   text;
    value  jsonb;
    plain  text;
    result jsonb := document;
begin
    if jsonb_typeof(document) = 'array' then
        return (select coalesce(jsonb_agg(map_job_secrets(item, key, is_encrypting) order by n), '[]')
                  from jsonb_array_elements(document) with ordinality as u (item, n));
    elsif jsonb_typeof(document) is distinct from 'object' then
        return document;
    end if;
    for name, value in select * from jsonb_each(document) loop
        plain := value #>> '{}';
        if jsonb_typeof(value) in ('object', 'array') then
            result := result || jsonb_build_object(name, map_job_secrets(value, key, is_encrypting));
        elsif jsonb_typeof(value) <> 'string' or plain = '' or not is_secret_key(name)
              or starts_with(plain, 'enc:v1:') = is_encrypting then
            continue;
        elsif is_encrypting then
            result := result || jsonb_build_object(name, encrypt_password(plain, key));
        else
            result := result || jsonb_build_object(name, decrypt_password(plain, key));
        end if;
    end loop;
    return result;
end
$$;

-- A document that mentions no secret key is left as it is without being walked.
create function has_job_secrets(document jsonb) returns boolean
language sql immutable parallel safe set search_path = public, pg_temp as $$
    select document::text ~* '(password|passwd|passphrase|secret|key|token|pwd)": "[^"]'
$$;

create function encrypt_job_secrets() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not has_job_secrets(new.details) then
        return new;
    end if;
    if get_encryption_key() is null then
        raise exception 'Encryption system not configured'
            using errcode = '55000', hint = 'activity_settings holds no encryption_key.';
    end if;
    new.details := map_job_secrets(new.details, get_encryption_key(), true);
    return new;
end
$$;

create trigger encrypt_job_secrets
    before insert or update of details on jobs
    for each row execute function encrypt_job_secrets();

-- The details of a job as its executor needs them.
create function reveal_job_secrets(details jsonb) returns jsonb
language sql volatile security definer set search_path = public, pg_temp as $$
    select case when has_job_secrets(details) then map_job_secrets(details, get_encryption_key(), false) else details end
$$;

revoke execute on function is_secret_key(text), has_job_secrets(jsonb), map_job_secrets(jsonb, text, boolean),
    encrypt_job_secrets(), reveal_job_secrets(jsonb) from public, anon, authenticated;
