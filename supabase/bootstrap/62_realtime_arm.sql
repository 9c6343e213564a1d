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

-- How a published table, or realtime.messages, has to be captured: 'statement' or 'row' (see feed_row). NULL: not at all.
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
       and (c.oid = to_regclass('realtime.messages') or exists (
                   select
                     from pg_publication_tables p
                     join pg_class m on m.relname = p.tablename and m.relnamespace = p.schemaname::regnamespace
                    where p.pubname = 'supabase_realtime'
                      and (m.oid = c.oid or pg_partition_root(m.oid) = c.oid)))
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
    armed  text;
    member oid;
    wanted record;
begin
    if mode is null then
        return false;
    end if;
    perform set_config('basalt.quiet_ddl', 'on', true); -- no schema reload for this
    armed := format('%s %s %s', basalt.feed_sequence(root), root::bigint - 2147483648, root);
    for member in
        select m.id
          from (select root union
                select t.relid::oid from pg_partition_tree(root) t
                 where (select c.relkind from pg_class c where c.oid = root) = 'p') m (id)
         order by m.id = root -- last, so that nothing is in the way of its clones
    loop
        for wanted in
            select t.name, t.events, t.transition, t.modes, t.arguments
              from (values
                ('before', 'before insert or update or delete', '', 'statement row', armed),
                ('insert', 'after insert', 'new table as new_rows', 'statement', format(' %sI=', member)),
                ('update', 'after update', 'old table as old_rows new table as new_rows', 'statement',
                 format(' %sU=', member)),
                ('delete', 'after delete', 'old table as old_rows', 'statement', format(' %sD=', member)),
                ('row', 'after insert or update or delete', '', case when member = root then 'row' else '' end, armed),
                ('after', 'after insert or update or delete', '', 'row', root::text)
              ) t (name, events, transition, modes, arguments)
        loop
            perform basalt.feed_place(member, wanted.name, wanted.events, wanted.transition, wanted.arguments,
                                      mode = any (string_to_array(wanted.modes, ' ')));
        end loop;
    end loop;
    return true;
end
$$;

-- The sequence that says until when the table is watched. Its value is no secret: every writer's trigger reads it.
create or replace function basalt.feed_sequence(root oid) returns oid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    gone text;
begin
    if to_regclass('basalt.armed_' || root) is not null then
        return to_regclass('basalt.armed_' || root);
    end if;
    for gone in
        select c.relname from pg_class c
         where c.relnamespace = 'basalt'::regnamespace and c.relkind = 'S' and c.relname ~ '^armed_\d+$'
           and not exists (select from pg_class t where t.oid = substr(c.relname, 7)::oid)
    loop
        execute format('drop sequence basalt.%I', gone);
    end loop;
    execute format('create sequence basalt.%I minvalue 0', 'armed_' || root);
    execute format('alter sequence basalt.%I owner to basalt_internal', 'armed_' || root);
    execute format('grant select on sequence basalt.%I to public', 'armed_' || root);
    return to_regclass('basalt.armed_' || root);
end
$$;

-- One trigger of feed_install: created or dropped so that it is as wanted. Clones come and go with the root's.
-- Arguments carry object ids, which a restored dump has wrong: such a trigger is made anew. Those with a transition
-- table have one argument, the others split theirs at spaces.
create or replace function basalt.feed_place(target oid, name text, events text, transition text, arguments text,
                                             is_wanted boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    trigger_name text := 'basalt_feed_' || name;
    quoted       text := target::regclass::text; -- qualified and quoted: only pg_catalog is on the path
    given        text[] := case when transition = '' then string_to_array(arguments, ' ') else array[arguments] end;
    found_args   bytea;
begin
    select t.tgargs into found_args
      from pg_trigger t
     where t.tgrelid = target and t.tgname = trigger_name and t.tgparentid = 0;
    if is_wanted and found_args = (select string_agg(convert_to(g, 'UTF8') || '\x00', '') from unnest(given) g)
       or not is_wanted and found_args is null then
        return;
    end if;
    if found_args is not null then
        execute format('drop trigger %I on %s', trigger_name, quoted);
    end if;
    if not is_wanted then
        return;
    end if;
    execute format('create trigger %I %s on %s %s for each %s %s execute function basalt.%I(%s)', trigger_name, events,
                   quoted, case when transition = '' then '' else 'referencing ' || transition end,
                   case name when 'row' then 'row' else 'statement' end,
                   -- Half the price of finding out inside the function that there is nothing to do.
                   case when transition = '' then ''
                        else format('when (pg_catalog.current_setting(''basalt.feed'', true) like %L)',
                                    '%' || arguments || '%') end,
                   'feed_' || case when name in ('insert', 'update', 'delete') then 'statement' else name end,
                   (select string_agg(quote_literal(g), ', ') from unnest(given) g));
    begin
        execute format('alter table %s enable always trigger %I', quoted, trigger_name);
    exception when insufficient_privilege then null; -- the TRIGGER privilege alone does not reach this far
    end;
end
$$;

-- Moves the table's sequence to the latest moment that any gateway has announced.
create or replace function basalt.feed_announce(root oid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    select setval(to_regclass('basalt.armed_' || root),
                  coalesce((select ceil(extract(epoch from max(a.expires_at)))::bigint from basalt.armed a
                             where a.relid = root), 0))
$$;

-- Says that `gateway` watches the table for so many seconds from now. Done before the lock is tried: from then on new
-- statements are captured without taking the lock.
create or replace function basalt.feed_arm(root oid, gateway uuid, seconds int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into basalt.armed as a values (root, gateway, clock_timestamp() + make_interval(secs => seconds))
    on conflict on constraint armed_pkey do update set expires_at = excluded.expires_at;
    perform basalt.feed_announce(root);
end
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
    perform basalt.feed_announce(root);
    if not exists (select from basalt.armed a where a.relid = root) then
        perform pg_advisory_unlock(7341001, (root::bigint - 2147483648)::int);
    end if;
end
$$;

alter function basalt.feed_announce(oid) owner to basalt_internal;
alter function basalt.feed_arm(oid, uuid, int) owner to basalt_internal;
alter function basalt.feed_hold(oid) owner to basalt_internal;
alter function basalt.feed_disarm(oid, uuid) owner to basalt_internal;
revoke all on function basalt.feed_mode(oid), basalt.feed_is_plain(oid), basalt.feed_install(oid),
    basalt.feed_place(oid, text, text, text, text, boolean),
    basalt.feed_sequence(oid), basalt.feed_announce(oid), basalt.feed_arm(oid, uuid, int), basalt.feed_hold(oid),
    basalt.feed_disarm(oid, uuid) from public;
grant execute on function basalt.feed_mode(oid), basalt.feed_is_plain(oid), basalt.feed_install(oid) to basalt_internal;
