-- A table, functions and a canary that nobody may touch.
create role anon nologin;
create role authenticator login noinherit password :'password';
grant anon to authenticator;
create schema api;
create schema other;
create schema vault;
create table vault.canary (id int primary key, word text);
insert into vault.canary values (1, 'alive');
grant usage on schema api, other to anon;
-- anon could reach it if a statement named it: an injection would show
grant usage on schema vault to anon;
grant all on vault.canary to anon;
set search_path = api;
create table items (id int primary key, name text, parent_id int references items, data jsonb, tags text[], "odd ""name" int);
insert into items select i, 'item ' || i, nullif(i / 2, 0), jsonb_build_object('n', i), array['a'], i from generate_series(1, 20) i;
create function echo(t text default '', n int default 0) returns text language sql stable as 'select t';
create function rows(n int default 1) returns setof items language sql stable as 'select * from api.items limit n';
create function change(t text) returns text language sql volatile as 'select t';
create table other.things (id int primary key);
grant all on all tables in schema api, other to anon;
