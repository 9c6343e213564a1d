-- In the staging database: what belongs to the dump's project rather than to the platform. One table for the rest of the
-- import: import_tables(schema, name, is_user), with the columns that can be copied.

create schema basalt_import;
create table basalt_import.schemas as
    select n.oid, n.nspname as name from pg_namespace n
     where n.nspname !~ '^(pg_|_)' and n.nspname not in (
           'information_schema', 'auth', 'storage', 'realtime', 'extensions', 'vault', 'cron', 'net', 'graphql', 'graphql_public',
           'pgsodium', 'pgsodium_masks', 'pgbouncer', 'pgtle', 'supabase_functions', 'supabase_migrations', 'basalt',
           'basalt_import')
       and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e');

-- An owner that is not here left its objects to the superuser that loads them: they become the project's.
do $$
declare
    owned record;
begin
    for owned in
        select format('alter %s %s owner to postgres',
                      case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end,
                      c.oid::regclass) as command
          from pg_class c join basalt_import.schemas s on s.oid = c.relnamespace join pg_roles r on r.oid = c.relowner
         where c.relkind in ('r', 'p', 'v', 'm', 'S') and r.rolsuper
           and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('e', 'i', 'a'))
        union all
        select format('alter routine %s owner to postgres', p.oid::regprocedure)
          from pg_proc p join basalt_import.schemas s on s.oid = p.pronamespace join pg_roles r on r.oid = p.proowner
         where r.rolsuper and p.prokind in ('f', 'p')
           and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    loop
        execute owned.command;
    end loop;
end
$$;
