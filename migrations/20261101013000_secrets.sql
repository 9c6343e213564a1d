-- Secrets at rest: one format, two functions, and a trigger that leaves nothing in clear.
--
-- Written form: 'enc:v1:' and the base64 (one line) of
--     iv (16 bytes) | AES-256-CBC with PKCS#7 padding of the UTF-8 text | HMAC-SHA-256 over iv and ciphertext (32 bytes)
-- The two keys are HMAC-SHA-256, keyed with the decoded master key, of the labels in secret_key().
--
-- Text without the prefix is the format of existing databases: base64 of AES-CBC with a zero vector under the master key
-- itself, no authentication. It is read, never written.

create function secret_key(key text, purpose text) returns bytea
language sql immutable strict parallel safe set search_path = public, extensions, pg_temp as $$
    select hmac(convert_to('basalt secret v1 ' || purpose, 'UTF8'), decode(key, 'base64'), 'sha256')
$$;

create function encrypt_password(password text, key text) returns text
language plpgsql volatile security definer set search_path = public, extensions, pg_temp as $$
declare
    iv   bytea := gen_random_bytes(16);
    body bytea;
begin
    if password is null or key is null then
        return null;
    end if;
    body := iv || encrypt_iv(convert_to(password, 'UTF8'), secret_key(key, 'encryption'), iv, 'aes-cbc/pad:pkcs');
    return 'enc:v1:' || translate(
        encode(body || hmac(body, secret_key(key, 'authentication'), 'sha256'), 'base64'), E'\n', '');
end
$$;

-- Null when the text cannot be decrypted, whatever the cause.
create function decrypt_password(encrypted text, key text) returns text
language plpgsql volatile security definer set search_path = public, extensions, pg_temp as $$
declare
    raw  bytea;
    body bytea;
begin
    if encrypted is null or key is null then
        return null;
    end if;
    if not starts_with(encrypted, 'enc:v1:') then
        return convert_from(decrypt(decode(encrypted, 'base64'), decode(key, 'base64'), 'aes'), 'UTF8');
    end if;
    raw := decode(substr(encrypted, 8), 'base64');
    if length(raw) < 64 then
        return null;
    end if;
    body := substr(raw, 1, length(raw) - 32);
    if substr(raw, length(raw) - 31) <> hmac(body, secret_key(key, 'authentication'), 'sha256') then
        return null;
    end if;
    return convert_from(
        decrypt_iv(substr(body, 17), secret_key(key, 'encryption'), substr(body, 1, 16), 'aes-cbc/pad:pkcs'), 'UTF8');
exception when others then
    return null;
end
$$;

-- Row trigger; its arguments name the columns that hold secrets. Encrypts what is written in clear. A value that carries
-- the prefix, or that an update does not change, stays as it is: forms read a row and write it back whole.
create function encrypt_secret_columns() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    after_row  jsonb := to_jsonb(new);
    before_row jsonb := case tg_op when 'UPDATE' then to_jsonb(old) else '{}' end;
    encrypted  jsonb := '{}';
    key        text;
    column_name text;
    value      text;
begin
    foreach column_name in array tg_argv loop
        value := after_row ->> column_name;
        continue when coalesce(value, '') = ''
                   or starts_with(value, 'enc:v1:')
                   or value = before_row ->> column_name;
        if key is null then
            key := coalesce(after_row ->> 'encryption_key', (select s.encryption_key from activity_settings s limit 1));
            if key is null then
                raise exception 'Encryption system not configured'
                    using errcode = '55000', hint = 'activity_settings holds no encryption_key.';
            end if;
        end if;
        encrypted := encrypted || jsonb_build_object(column_name, encrypt_password(value, key));
    end loop;
    return jsonb_populate_record(new, encrypted);
end
$$;
