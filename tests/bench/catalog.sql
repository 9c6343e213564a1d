-- Tables of ten columns that reference two others each, a view on every tenth, and functions of two arguments.
create role anon nologin;
create role authenticator login noinherit password :'password';
grant anon to authenticator;
create schema api;
grant usage on schema api to anon;
set search_path = api;
set client_min_messages = warning;
set synchronous_commit = off;
create table small (id int primary key, name text);
insert into small select i, 'row ' || i from generate_series(1, 100) i;
select format('create table table_%s (id bigint primary key, parent_id bigint references %s, other_id bigint references %s, '
              'name text not null, created_at timestamptz default now(), amount numeric(12,2), is_active boolean default true, '
              'tags text[], details jsonb, note varchar(200))', i, coalesce('table_' || nullif(i / 2, 0), 'small'),
              coalesce('table_' || nullif(i / 3, 0), 'small'))
  from generate_series(1, :tables) i \gexec
select format('create view view_%s as select id, parent_id, name, created_at from table_%s', i, i)
  from generate_series(10, :tables, 10) i \gexec
select format('create function function_%s(first_argument int, second_argument text default null) returns %s language sql stable '
              'as ''select %s''', i, case i % 3 when 0 then 'setof table_1' when 1 then 'int' else 'json' end,
              case i % 3 when 0 then '* from api.table_1' when 1 then '1' else 'null::json' end)
  from generate_series(1, :functions) i \gexec
grant select on all tables in schema api to anon;
vacuum analyze;
