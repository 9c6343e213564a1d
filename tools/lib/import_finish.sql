-- In the target, behind the rows and in the same transaction: kept users, sequences, secrets, and a look for references
-- into the void. psql: is_product.

set local session_replication_role = replica;
\if :is_product
    insert into public.profiles select * from kept_profiles on conflict do nothing;
    insert into public.user_roles select * from kept_roles on conflict do nothing;
    update public.activity_settings set encryption_key = encode(extensions.gen_random_bytes(32), 'base64')
     where coalesce(encryption_key, '') = '';

-- What existing databases hold in clear is encrypted, under the key that came with the dump. Their ciphertext stays.
do $$
declare
    key     text := public.get_encryption_key();
    secret  record;
    changed bigint;
    foreign_count bigint;
begin
    for secret in
        select t.tgrelid::regclass as target, trim(both ' ''' from name) as name
          from pg_trigger t,
               regexp_split_to_table(substring(pg_get_triggerdef(t.oid) from 'encrypt_secret_columns\((.*)\)'), ',') name
         where t.tgfoid = 'public.encrypt_secret_columns()'::regprocedure
    loop
        -- Ciphertext of another key looks like this; encrypting it again would help nobody.
        execute format('select count(*) from %s where %2$I ~ %L and length(%2$I) %% 4 = 0 and %L like ''%%\_encrypted'' '
                       'and length(decode(%2$I, ''base64'')) %% 16 = 0 and public.decrypt_password(%2$I, $1) is null',
                       secret.target, secret.name, '^[A-Za-z0-9+/]{20,}={0,2}$', secret.name)
           into foreign_count using key;
        if foreign_count > 0 then
            raise warning '% of %.% cannot be decrypted with the key of the dump', foreign_count, secret.target, secret.name;
        end if;
        execute format('update %s set %2$I = public.encrypt_password(%2$I, $1) '
                       'where coalesce(%2$I, '''') <> '''' and not starts_with(%2$I, ''enc:v1:'') '
                       'and public.decrypt_password(%2$I, $1) is null '
                       'and not (%2$I ~ %L and length(%2$I) %% 4 = 0 and %L like ''%%\_encrypted'')',
                       secret.target, secret.name, '^[A-Za-z0-9+/]{20,}={0,2}$', secret.name) using key;
        get diagnostics changed = row_count;
        if changed > 0 then
            raise warning '% value(s) of %.% were in clear and are encrypted now', changed, secret.target, secret.name;
        end if;
    end loop;
    update public.jobs set details = public.map_job_secrets(details, key, true) where public.has_job_secrets(details);
end
$$;
\endif

do $$
declare
    owned  record;
    orphan record;
    found  bigint;
begin
    for owned in
        select c.oid::regclass as target, a.attname as name, pg_get_serial_sequence(c.oid::regclass::text, a.attname) as seq
          from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
         where c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and n.nspname in ('public', 'auth', 'storage')
           and pg_get_serial_sequence(c.oid::regclass::text, a.attname) is not null
    loop
        execute format('select setval(%L, greatest(m.top, s.last_value), m.top is not null or s.is_called) '
                       'from (select max(%I)::bigint as top from %s) m, %s s',
                       owned.seq, owned.name, owned.target, owned.seq);
    end loop;
    for orphan in
        select f.conname as name, f.conrelid::regclass as child, f.confrelid::regclass as parent,
               (select string_agg(format('p.%I = c.%I', pa.attname, ca.attname), ' and ')
                  from unnest(f.conkey, f.confkey) k (c, p)
                  join pg_attribute ca on ca.attrelid = f.conrelid and ca.attnum = k.c
                  join pg_attribute pa on pa.attrelid = f.confrelid and pa.attnum = k.p) as joined,
               (select string_agg(format('c.%I is not null', ca.attname), ' and ')
                  from unnest(f.conkey) k (c) join pg_attribute ca on ca.attrelid = f.conrelid and ca.attnum = k.c) as given
          from pg_constraint f join pg_namespace n on n.oid = f.connamespace
         where f.contype = 'f' and f.conparentid = 0 and n.nspname in ('public', 'auth', 'storage')
    loop
        execute format('select count(*) from %s c where %s and not exists (select from %s p where %s)', orphan.child,
                       orphan.given, orphan.parent, orphan.joined) into found;
        if found > 0 then
            raise exception '% row(s) of % refer to rows of % that the dump does not hold (%)', found, orphan.child,
                orphan.parent, orphan.name;
        end if;
    end loop;
end
$$;
set local session_replication_role = origin;
