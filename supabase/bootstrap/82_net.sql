-- HTTP requests from SQL. The real pg_net where the server has it; otherwise the same tables and functions, and the leading
-- gateway sends what is queued: after the commit, since only then it sees the row.
--
-- A new request rings the channel basalt_net. The gateway deletes the row of net.http_request_queue when it takes it, writes
-- net._http_response, and removes answers after six hours.

set local client_min_messages = warning;

select current_setting('shared_preload_libraries') ~ '\ypg_net\y' as has_pg_net \gset
\if :has_pg_net
create extension if not exists pg_net with schema extensions;
\else

\if :is_superuser
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
select pg_nextoid('pg_extension', 'oid', 'pg_extension_oid_index'), 'pg_net',
       (select oid from pg_roles where rolname = 'supabase_admin'), 'extensions'::regnamespace, false, 'basalt'
 where not exists (select from pg_extension where extname = 'pg_net');
\endif

create schema if not exists net authorization supabase_admin;
grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role, basalt_internal;

set local role supabase_admin;

do $$
begin
    if to_regtype('net.http_method') is null then
        create domain net.http_method as text check (value in ('GET', 'POST', 'DELETE'));
    end if;
    if to_regtype('net.request_status') is null then
        create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');
    end if;
    if to_regtype('net.http_response') is null then
        create type net.http_response as (status_code integer, headers jsonb, body text);
    end if;
    if to_regtype('net.http_response_result') is null then
        create type net.http_response_result as (
            status net.request_status, message text, response net.http_response);
    end if;
end
$$;

create unlogged table if not exists net.http_request_queue (
    id                   bigserial primary key,
    method               net.http_method not null,
    url                  text not null,
    headers              jsonb,
    body                 bytea,
    timeout_milliseconds integer not null
);

create unlogged table if not exists net._http_response (
    id           bigint primary key,
    status_code  integer,
    content_type text,
    headers      jsonb,
    content      text,
    timed_out    boolean,
    error_msg    text,
    created      timestamptz not null default now()
);
create index if not exists _http_response_created_idx on net._http_response (created);

create or replace function net.ring() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_notify('basalt_net', '');
    return null;
end
$$;
create or replace trigger ring
    after insert on net.http_request_queue
    for each statement execute function net.ring();

-- Percent-encodes everything but the unreserved characters of RFC 3986.
create or replace function net._urlencode_string(string text) returns text
language sql immutable strict set search_path = pg_catalog, pg_temp as $$
    select string_agg(
               case when c ~ '^[A-Za-z0-9_.~-]$' then c
                    else regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') end,
               '' order by n)
      from regexp_split_to_table(string, '') with ordinality as u (c, n)
$$;

create or replace function net._url_with_params(url text, params jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select url || coalesce(
        case when position('?' in url) > 0 then '&' else '?' end
        || string_agg(net._urlencode_string(key) || '=' || coalesce(net._urlencode_string(value), ''), '&'), '')
      from jsonb_each_text(params)
$$;

create or replace function net.http_get(
    url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds integer default 5000
) returns bigint
language sql volatile strict security definer set search_path = net, pg_temp as $$
    insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
    values ('GET', net._url_with_params(url, params), headers, timeout_milliseconds)
    returning id
$$;

create or replace function net.http_delete(
    url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds integer default 5000
) returns bigint
language sql volatile strict security definer set search_path = net, pg_temp as $$
    insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
    values ('DELETE', net._url_with_params(url, params), headers, timeout_milliseconds)
    returning id
$$;

create or replace function net.http_post(
    url                  text,
    body                 jsonb default '{}',
    params               jsonb default '{}',
    headers              jsonb default '{"Content-Type": "application/json"}',
    timeout_milliseconds integer default 5000
) returns bigint
language plpgsql volatile security definer set search_path = net, pg_temp as $$
declare
    content_type text := (
        select value from jsonb_each_text(coalesce(headers, '{}')) where lower(key) = 'content-type' limit 1);
    request_id   bigint;
begin
    -- Said here and not by the column, whose error would show the headers and with them a token.
    if url is null then
        raise exception 'null value in column "url" of relation "http_request_queue" violates not-null constraint'
            using errcode = '23502';
    end if;
    if content_type is null then
        headers := coalesce(headers, '{}') || '{"Content-Type": "application/json"}';
    elsif split_part(lower(content_type), ';', 1) <> 'application/json' then
        raise exception 'Content-Type header must be "application/json"';
    end if;
    insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
    values ('POST', net._url_with_params(url, coalesce(params, '{}')), headers,
            convert_to(body::text, 'UTF8'), timeout_milliseconds)
    returning id into request_id;
    return request_id;
end
$$;

-- With async false it waits for the answer, at most ten seconds.
create or replace function net._http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result
language plpgsql volatile security definer set search_path = net, pg_temp as $$
declare
    answer   net._http_response;
    deadline timestamptz := clock_timestamp() + interval '10 seconds';
begin
    loop
        select * into answer from net._http_response where id = request_id;
        exit when found or async or clock_timestamp() > deadline;
        perform pg_sleep(0.05);
    end loop;
    if answer.id is null then
        return ('PENDING', 'request is pending processing', null)::net.http_response_result;
    end if;
    if answer.error_msg is not null or answer.timed_out then
        return ('ERROR', coalesce(answer.error_msg, 'request timed out'), null)::net.http_response_result;
    end if;
    return ('SUCCESS', 'ok', (answer.status_code, answer.headers, answer.content)::net.http_response
           )::net.http_response_result;
end
$$;

create or replace function net.http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result
language sql volatile set search_path = net, pg_temp as $$
    select net._http_collect_response(request_id, async)
$$;

-- There is no worker of its own to restart.
create or replace function net.worker_restart() returns boolean
language sql volatile set search_path = net, pg_temp as $$
    select true
$$;

revoke all on all functions in schema net from public;
grant execute on all functions in schema net
    to supabase_functions_admin, postgres, anon, authenticated, service_role;
grant all on all tables in schema net to postgres, basalt_internal;
grant all on all sequences in schema net to postgres, basalt_internal;

reset role;
\endif
