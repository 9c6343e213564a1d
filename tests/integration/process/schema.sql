-- What the scenes of the process need: rows, writes that can be counted, functions that take their time.
create role anon nologin;
create role member nologin;
create role slow nologin;
create role authenticator login noinherit password :'password';
grant anon, member, slow to authenticator;
alter role slow set statement_timeout = '300ms';
create schema api;
create schema other;
grant usage on schema api, other to anon, member, slow;
set search_path = api;
create table items (id int primary key, name text);
insert into items select i, 'item ' || i from generate_series(1, 20) i;
create table writes (id uuid primary key, at timestamptz default now());
create table other.things (id int);
create function nap(seconds float8) returns void language sql as $$ select pg_sleep(seconds) $$;
create function hold() returns void language sql as $$ select pg_advisory_xact_lock(1) $$;
create function hasty() returns void language sql set statement_timeout = '200ms' as $$ select pg_sleep(3) $$;
create function setting(name text) returns text language sql as $$ select current_setting(name, true) $$;
create function me() returns text language sql stable as $$ select current_user::text $$;
create function login_pid() returns int language sql as $$ select pg_backend_pid() $$;
create function pre_config() returns void language sql as $$
    select set_config('pgrst.db_max_rows', '3', true), set_config('pgrst.jwt_aud', 'from-function', true) $$;
grant select, insert, update, delete on all tables in schema api, other to anon, member, slow;
grant usage on schema api to authenticator;
