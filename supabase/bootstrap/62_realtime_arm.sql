-- Change feed, arming: which tables may be watched, their triggers, and the locks of a watching gateway.

set local client_min_messages = warning;

-- Whether turning a value of this type into JSON runs nothing but PostgreSQL's own code.
create or replace function basalt.feed_is_plain(checked oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive parts (id) as (
        select checked
        union
        select unnest(case t.typtype
                        when 'd' then array[t.typbasetype]
                        when 'c' then array(select a.atttypid from pg_attribute a
                                             where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)
                        when 'r' then array(select r.rngsubtype from pg_range r where r.rngtypid = t.oid)
                        when 'm' then array(select r.rngsubtype from pg_range r where r.rngmultitypid = t.oid)
                        else case when t.typelem <> 0 and t.typcategory = 'A' then array[t.typelem]
                                  else array[]::oid[] end
                      end)
          from parts p join pg_type t on t.oid = p.id
    )
    select bool_and(o.pronamespace = 'pg_catalog'::regnamespace
                    or o.prolang = (select l.oid from pg_language l where l.lanname = 'internal'))
           and not bool_or(exists (select from pg_cast k
                                    where k.castsource = p.id and k.casttarget = 'json'::regtype and k.castfunc <> 0
                                      and k.oid >= 16384))
      from parts p
      join pg_type t on t.oid = p.id
      join pg_proc o on o.oid = t.typoutput
$$;

-- How a published table has to be captured: 'statement' or 'row' (see feed_row). NULL: not published.
create or replace function basalt.feed_mode(root oid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case
             when c.relkind = 'p' or exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent))
               or exists (select from pg_attribute a
                            join pg_type t on t.oid = a.atttypid
                           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                             and not basalt.feed_is_plain(t.oid))
             then 'row'
             else 'statement'
           end
      from pg_class c
     where c.oid = root
       and exists (select
                     from pg_publication_tables p
                     join pg_class m on m.relname = p.tablename and m.relnamespace = p.schemaname::regnamespace
                    where p.pubname = 'supabase_realtime'
                      and (m.oid = c.oid or pg_partition_root(m.oid) = c.oid))
$$;

-- Puts the triggers on a published table (by the root of its partition tree) unless they are there. Creating a trigger
-- waits for the table's open writers and makes new ones queue meanwhile, hence the short lock_timeout: the caller tries
-- again. Triggers fire under any session_replication_role, as a replication slot would see those writes too. Runs with
-- the rights of whoever installed the bootstrap, who needs the TRIGGER privilege on the table.
create or replace function basalt.feed_install(root oid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '300ms' set client_min_messages = warning
as $$
declare
    mode   text := basalt.feed_mode(root);
    member record;
    wanted record;
begin
    if mode is null then
        return false;
    end if;
    perform set_config('basalt.quiet_ddl', 'on', true); -- no schema reload for this
    for member in
        select m.id
          from (select root union
                select t.relid::oid from pg_partition_tree(root) t
                 where (select c.relkind from pg_class c where c.oid = root) = 'p') m (id)
         order by m.id = root -- last, so that nothing is in the way of its clones
    loop
        for wanted in
            select name, clause, modes, for_root
              from (values
                ('basalt_feed_before', 'before insert or update or delete', '{statement,row}', false),
                ('basalt_feed_insert', 'after insert on %s referencing new table as new_rows', '{statement}', false),
                ('basalt_feed_update', 'after update on %s referencing old table as old_rows new table as new_rows',
                                       '{statement}', false),
                ('basalt_feed_delete', 'after delete on %s referencing old table as old_rows', '{statement}', false),
                ('basalt_feed_row',    'after insert or update or delete', '{row}', true),
                ('basalt_feed_after',  'after insert or update or delete', '{row}', false)
              ) t (name, clause, modes, for_root)
        loop
            perform basalt.feed_place(member.id, wanted.name, wanted.clause,
                                      mode = any (wanted.modes::text[])
                                      and (member.id = root or not wanted.for_root));
        end loop;
    end loop;
    return true;
end
$$;

-- One trigger of feed_install: created or dropped so that it is as wanted. Clones come and go with the root's.
create or replace function basalt.feed_place(target oid, name text, clause text, is_wanted boolean)
returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    is_there boolean := exists (select from pg_trigger t
                                 where t.tgrelid = target and t.tgname = name and t.tgparentid = 0);
    handler  text := case name when 'basalt_feed_before' then 'feed_before' when 'basalt_feed_row' then 'feed_row'
                               when 'basalt_feed_after' then 'feed_after' else 'feed_statement' end;
    quoted   text := target::regclass::text; -- qualified and quoted: only pg_catalog is on the path
begin
    if is_there = is_wanted then
        return;
    end if;
    if is_there then
        execute format('drop trigger %I on %s', name, quoted);
        return;
    end if;
    execute format('create trigger %I %s for each %s execute function basalt.%I()', name,
                   case when clause like '%\%s%' then format(clause, quoted) else clause || ' on ' || quoted end,
                   case name when 'basalt_feed_row' then 'row' else 'statement' end, handler);
    begin
        execute format('alter table %s enable always trigger %I', quoted, name);
    exception when insufficient_privilege then null; -- the TRIGGER privilege alone does not reach this far
    end;
end
$$;

-- Says that `gateway` watches the table for so many seconds from now. Commit it before trying the lock: from then on
-- new statements no longer take the lock, so a busy table cannot keep the gateway waiting.
create or replace function basalt.feed_arm(root oid, gateway uuid, seconds int) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into basalt.armed as a values (root, gateway, clock_timestamp() + make_interval(secs => seconds))
    on conflict on constraint armed_pkey do update set expires_at = excluded.expires_at
$$;

-- Tries the table's lock for this session. True: in force, held by this session or by another gateway's.
create or replace function basalt.feed_hold(root oid) returns boolean
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select case when exists (select from pg_locks l
                              where l.locktype = 'advisory' and l.classid = 7341001 and l.objsubid = 2
                                and l.objid = ((root::bigint - 2147483648)::int::bigint & 4294967295)::oid
                                and l.database = (select d.oid from pg_database d where d.datname = current_database())
                                and l.mode = 'ExclusiveLock' and l.granted)
                then true
                else pg_try_advisory_lock(7341001, (root::bigint - 2147483648)::int)
           end
$$;

-- The gateway no longer watches the table. The lock stays while another gateway relies on it.
create or replace function basalt.feed_disarm(root oid, gateway uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    delete from basalt.armed a
     where a.relid = root and (a.gateway = feed_disarm.gateway or a.expires_at < clock_timestamp());
    if not exists (select from basalt.armed a where a.relid = root) then
        perform pg_advisory_unlock(7341001, (root::bigint - 2147483648)::int);
    end if;
end
$$;

alter function basalt.feed_arm(oid, uuid, int) owner to basalt_internal;
alter function basalt.feed_hold(oid) owner to basalt_internal;
alter function basalt.feed_disarm(oid, uuid) owner to basalt_internal;
revoke all on function basalt.feed_mode(oid), basalt.feed_is_plain(oid), basalt.feed_install(oid),
    basalt.feed_place(oid, text, text, boolean), basalt.feed_arm(oid, uuid, int), basalt.feed_hold(oid),
    basalt.feed_disarm(oid, uuid) from public;
grant execute on function basalt.feed_mode(oid), basalt.feed_is_plain(oid), basalt.feed_install(oid) to basalt_internal;
