-- Rows that belong to users, and writes that are counted: a write done twice leaves two rows.
create role anon nologin;
create role member nologin;
create role authenticator login noinherit password :'password';
grant anon, member to authenticator;
alter role member set statement_timeout = '8s';
create schema api;
grant usage on schema api to anon, member;
set search_path = api;
create function me() returns text language sql stable as
    $$ select current_setting('request.jwt.claims', true)::json ->> 'sub' $$;
create table profiles (owner text primary key, note text);
insert into profiles select 'user-' || i, 'note of user-' || i from generate_series(0, 999) i;
alter table profiles enable row level security;
create policy own on profiles for all to member using (owner = api.me());
create table writes (key uuid not null, owner text not null default api.me());
create function record(key uuid) returns text language sql as
    $$ insert into api.writes values (key, api.me()) returning owner $$;
create function whoami() returns text language sql stable as $$ select api.me() $$;
create table slow (id int primary key, note text);
insert into slow values (1, '');
create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return new; end $$;
create trigger dawdle before update on slow for each row execute function dawdle();
create function nap(seconds float8) returns text language sql as $$ select api.me() from pg_sleep(seconds) $$;
grant select, insert, update on all tables in schema api to member;
