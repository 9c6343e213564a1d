-- In the target, before the rows come: users of the instance that the dump brings itself make room, the others stay with
-- their profile and role. psql: is_product, is_replacing; temporary table incoming(id, email) is filled.

\if :is_replacing
    set local session_replication_role = replica;
    select format('delete from %I.%I', n.nspname, c.relname)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'auth' and c.relkind = 'r' and c.relname <> 'schema_migrations' \gexec
    set local session_replication_role = origin;
\else
    delete from auth.users u using incoming i where u.id = i.id or lower(u.email) = lower(i.email);
\endif
create temporary table kept_users on commit drop as select id from auth.users;
\if :is_product
    create temporary table kept_profiles on commit drop as
        select p.* from public.profiles p join kept_users k on k.id = p.id;
    create temporary table kept_roles on commit drop as
        select r.* from public.user_roles r join kept_users k on k.id = r.user_id;
\endif
