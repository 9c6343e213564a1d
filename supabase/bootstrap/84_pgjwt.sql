-- pgjwt: five SQL functions that some projects call to make tokens. Provided where the extension is not installed.

select not exists (select from pg_available_extensions where name = 'pgjwt')
       and not exists (select from pg_extension where extname = 'pgjwt' and extversion <> 'basalt') as needs_pgjwt \gset
\if :needs_pgjwt
\if :is_superuser
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
select pg_nextoid('pg_extension', 'oid', 'pg_extension_oid_index'), 'pgjwt',
       (select oid from pg_roles where rolname = 'supabase_admin'), 'extensions'::regnamespace, false, 'basalt'
 where not exists (select from pg_extension where extname = 'pgjwt');
\endif

create or replace function extensions.url_encode(data bytea) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select translate(encode(data, 'base64'), E'+/=\n', '-_')
$$;

create or replace function extensions.url_decode(data text) returns bytea
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select decode(rpad(translate(data, '-_', '+/'), (length(data) + 3) / 4 * 4, '='), 'base64')
$$;

create or replace function extensions.algorithm_sign(signables text, secret text, algorithm text) returns text
language sql immutable set search_path = extensions, pg_temp as $$
    select extensions.url_encode(extensions.hmac(signables, secret, case algorithm
        when 'HS256' then 'sha256' when 'HS384' then 'sha384' when 'HS512' then 'sha512' else '' end))
$$;

create or replace function extensions.sign(payload json, secret text, algorithm text default 'HS256') returns text
language sql immutable set search_path = extensions, pg_temp as $$
    select signables || '.' || extensions.algorithm_sign(signables, secret, algorithm)
      from (select extensions.url_encode(convert_to('{"alg":"' || algorithm || '","typ":"JWT"}', 'utf8'))
                   || '.' || extensions.url_encode(convert_to(payload::text, 'utf8')) as signables) s
$$;

create or replace function extensions.verify(token text, secret text, algorithm text default 'HS256')
returns table (header json, payload json, valid boolean)
language sql stable set search_path = extensions, pg_temp as $$
    select convert_from(extensions.url_decode(part[1]), 'utf8')::json,
           convert_from(extensions.url_decode(part[2]), 'utf8')::json,
           part[3] = extensions.algorithm_sign(part[1] || '.' || part[2], secret, algorithm)
           and coalesce((convert_from(extensions.url_decode(part[2]), 'utf8')::json ->> 'exp')::numeric
                        > extract(epoch from now()), true)
           and coalesce((convert_from(extensions.url_decode(part[2]), 'utf8')::json ->> 'nbf')::numeric
                        <= extract(epoch from now()), true)
      from regexp_split_to_array(token, '\.') part
$$;

\endif
