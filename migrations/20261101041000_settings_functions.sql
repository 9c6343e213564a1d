-- The master key: made once, readable by the service role only; and the first row of the settings.

create function get_encryption_key() returns text
language sql stable security definer set search_path = public, pg_temp as $$
    select encryption_key from activity_settings limit 1
$$;

-- A row without a key gets a new one, so that no installation starts without encryption.
create function assign_encryption_key() returns trigger
language plpgsql security definer set search_path = public, extensions, pg_temp as $$
begin
    if coalesce(new.encryption_key, '') = '' then
        new.encryption_key := encode(gen_random_bytes(32), 'base64');
    end if;
    return new;
end
$$;

-- Triggers run in the order of their names: this one before the one that encrypts with the key.
create trigger assign_encryption_key
    before insert on activity_settings
    for each row execute function assign_encryption_key();

insert into activity_settings default values;
insert into network_settings default values;
insert into idrac_settings default values;

-- Column rights instead of policies, because every signed-in user needs the rest of the row. On a table with this mark the
-- gateway expands * to the columns that the caller may select.
comment on table activity_settings is
    E'Housekeeping, logging and executor settings (one row).\n@basalt.expand_star';
revoke select, insert, update on activity_settings from anon, authenticated;
do $$
declare
    readable text := (
        select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
         where attrelid = 'activity_settings'::regclass and attnum > 0 and not attisdropped
           and attname not in ('encryption_key', 'executor_shared_secret_encrypted',
                               'scp_share_username', 'scp_share_password_encrypted'));
begin
    execute format('grant select (%s) on activity_settings to anon, authenticated', readable);
    execute format('grant insert (%1$s, scp_share_username, scp_share_password_encrypted), '
                   'update (%1$s, scp_share_username, scp_share_password_encrypted) '
                   'on activity_settings to authenticated', readable);
end
$$;
