-- A function as large as one asks for, and a small table to read meanwhile.
create role anon nologin;
create role authenticator login noinherit password :'password';
grant anon to authenticator;
create schema api;
grant usage on schema api to anon;
set search_path = api;
create table small (id int primary key, name text);
insert into small select i, 'row ' || i from generate_series(1, 100) i;
-- about 1 kB of JSON a row
create function rows(kilobytes int) returns table (id int, payload text, at timestamptz, flag boolean)
    language sql stable rows 1000000
    as $$ select i, repeat('0123456789abcdef', 60), now(), i % 2 = 0 from generate_series(1, kilobytes) i $$;
grant select on small to anon;
