-- Change feed, reading: pruning, gaps, and what the gateway has to know of a published table. The read itself is one
-- statement of the gateway (realtime/feed_read.c), because snapshot and rows have to come from the same statement.

set local client_min_messages = warning;

-- Whether everything visible in `older` is visible in `newer`.
create or replace function basalt.feed_contains(newer pg_snapshot, older pg_snapshot) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select pg_snapshot_xmax(older) <= pg_snapshot_xmax(newer)
           and not exists (select from pg_snapshot_xip(newer) x
                            where x < pg_snapshot_xmax(older) and pg_visible_in_snapshot(x, older))
$$;

-- Deletes what is visible in `upto` (a snapshot that the gateway has read past, old enough for others to have too).
-- Returns the number of rows deleted.
create or replace function basalt.feed_prune(upto pg_snapshot) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    deleted bigint;
begin
    update basalt.feed_state s set pruned = upto where basalt.feed_contains(upto, s.pruned);
    if not found then
        return 0; -- another gateway has pruned further
    end if;
    delete from basalt.outbox o where o.xid < pg_snapshot_xmax(upto) and pg_visible_in_snapshot(o.xid, upto);
    get diagnostics deleted = row_count;
    return deleted;
end
$$;

-- Which server and history the snapshots of this session belong to: transaction ids are used again after a promotion
-- or a restore. Without the right to ask, the identity is the database's alone.
create or replace function basalt.feed_identity() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    who text;
begin
    select d.oid || '/' into who from pg_database d where d.datname = current_database();
    begin
        return who || (select s.system_identifier from pg_control_system() s) || '/'
               || left(pg_walfile_name(pg_current_wal_lsn()), 8);
    exception when insufficient_privilege then
        return who || left(pg_walfile_name(pg_current_wal_lsn()), 8);
    end;
end
$$;

-- The published tables that a subscription means. '*' is any schema or any table.
create or replace function basalt.feed_find(schema_name text, table_name text) returns setof oid
language sql stable set search_path = pg_catalog, pg_temp as $$
    select c.oid
      from pg_publication_tables p
      join pg_namespace n on n.nspname = p.schemaname
      join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
     where p.pubname = 'supabase_realtime'
       and (schema_name = '*' or p.schemaname = schema_name) and (table_name = '*' or p.tablename = table_name)
     order by c.oid
$$;

create or replace function basalt.feed_base_type(type oid) returns oid
language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive chain (id, base, kind) as (
        select t.oid, t.typbasetype, t.typtype from pg_type t where t.oid = type
        union all
        select t.oid, t.typbasetype, t.typtype from chain c join pg_type t on t.oid = c.base where c.kind = 'd'
    )
    select id from chain where kind <> 'd'
$$;

-- What delivery needs to know of tables, seen by a role: one JSON object each. `sql` is the type's quoted name without
-- a length, `base` what a domain stands on, `identity` the columns of old records, `actions` what is published.
create or replace function basalt.feed_describe(relids oid[], viewer text) returns setof json
language sql stable set search_path = pg_catalog, pg_temp as $$
    select json_build_object(
               'relid', c.oid::bigint,
               'root', coalesce(pg_partition_root(c.oid)::oid, c.oid)::bigint,
               'schema', n.nspname,
               'table', c.relname,
               'rls', c.relrowsecurity,
               'full', c.relreplident = 'f',
               'actions', concat(case when p.pubinsert then 'I' end, case when p.pubupdate then 'U' end,
                                 case when p.pubdelete then 'D' end),
               'columns', (
                   select coalesce(json_agg(json_build_object(
                              'name', a.attname,
                              'type', t.typname,
                              'sql', format('%I.%I', tn.nspname, t.typname),
                              'base', basalt.feed_base_type(t.oid)::bigint,
                              'key', coalesce(a.attnum = any (k.indkey), false),
                              'identity', case c.relreplident
                                            when 'f' then true
                                            when 'd' then coalesce(a.attnum = any (k.indkey), false)
                                            when 'i' then coalesce(a.attnum = any (r.indkey), false)
                                            else false end,
                              'visible', has_column_privilege(viewer, c.oid, a.attnum, 'select'))
                              order by a.attnum), '[]')
                     from pg_attribute a
                     join pg_type t on t.oid = a.atttypid
                     join pg_namespace tn on tn.oid = t.typnamespace
                    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped))
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_publication p on p.pubname = 'supabase_realtime'
      left join pg_index k on k.indrelid = c.oid and k.indisprimary
      left join pg_index r on r.indrelid = c.oid and r.indisreplident
     where c.oid = any (relids)
     order by c.oid
$$;

alter function basalt.feed_prune(pg_snapshot) owner to basalt_internal;
revoke all on function basalt.feed_contains(pg_snapshot, pg_snapshot), basalt.feed_prune(pg_snapshot),
    basalt.feed_identity(), basalt.feed_find(text, text), basalt.feed_describe(oid[], text),
    basalt.feed_base_type(oid) from public;
grant execute on function basalt.feed_contains(pg_snapshot, pg_snapshot), basalt.feed_identity(),
    basalt.feed_find(text, text), basalt.feed_describe(oid[], text), basalt.feed_base_type(oid) to basalt_internal;
