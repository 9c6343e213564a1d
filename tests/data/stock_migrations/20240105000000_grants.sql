grant usage on schema public to anon, authenticated, service_role;
grant all on all tables in schema public to service_role;
alter default privileges in schema public grant select on tables to anon;
create schema private;
revoke all on schema private from public;
create table private.keys (name text primary key, digest text);
insert into private.keys values ('a', encode(digest('a', 'sha256'), 'hex')), ('b', crypt('b', gen_salt('bf', 4)));
comment on table public.members is 'People';
notify pgrst, 'reload schema';
