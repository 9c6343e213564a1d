-- Change feed, capture: the triggers that run inside the user's write.
--
-- Advisory locks: (7341000, 0) is the bell, held exclusively by a gateway that sleeps; (7341001, table) is held
-- exclusively by a gateway that watches the table. Triggers only try them, shared: no write ever waits.
--
-- A failed capture must not fail the user's write, and must not be passed over in silence. Output functions of the
-- types in pg_catalog do not fail; a table with any other type is captured row by row, with its formatting guarded,
-- and a row that cannot be formatted is captured as a gap (op X). What is left is the outbox itself: when it cannot be
-- written (disk full), the user's write could not be written either.

set local client_min_messages = warning;

-- Before each statement: decides whether it is captured and, if so, notes its ordinal in the transaction-local setting
-- basalt.feed: "<last ordinal> <table><op>=<ordinal> ...", the newest entry first. Entries are looked up by table and
-- operation, since referential actions begin and end out of step. A rolled-back savepoint takes its entries along.
--
-- A table is watched when an unexpired row says so, or when the shared try of its lock is refused. A granted try is
-- kept until the transaction ends: no gateway can believe the table watched while a statement is open that skips it.
create or replace function basalt.feed_before() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    root    oid := coalesce(pg_partition_root(tg_relid)::oid, tg_relid);
    stack   text;
    counter text;
    number  bigint;
begin
    if not exists (select from basalt.armed a where a.relid = root and a.expires_at > now())
       and pg_try_advisory_xact_lock_shared(7341001, (root::bigint - 2147483648)::int) then
        return null;
    end if;
    stack := coalesce(current_setting('basalt.feed', true), '');
    counter := split_part(stack, ' ', 1);
    number := coalesce(nullif(counter, ''), '0')::bigint + 1;
    perform set_config('basalt.feed',
                       number || ' ' || root || left(tg_op, 1) || '=' || number || substr(stack, length(counter) + 1),
                       true);
    return null;
end
$$;

-- After each statement on an ordinary table. Without an entry the statement began unwatched, or the table has become
-- a partition and its root's row trigger captures. Nested loops are off because the plan is kept for statements of any size; old and new rows are paired by their position. The watched table's
-- columns may have any name, hence variables first and whole rows as alias.*.
create or replace function basalt.feed_statement() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres'
set extra_float_digits = 1 set bytea_output = 'hex' set enable_nestloop = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_variable
declare
    tag    text := ' ' || tg_relid || left(tg_op, 1) || '=';
    stack  text := current_setting('basalt.feed', true);
    place  int  := strpos(stack, tag);
    rest   text;
    number bigint;
begin
    if place is null or place = 0 then
        return null;
    end if;
    rest := substr(stack, place + length(tag));
    number := split_part(rest, ' ', 1);
    perform set_config('basalt.feed', left(stack, place - 1) || substr(rest, length(number::text) + 1), true);

    if tg_op = 'INSERT' then
        insert into basalt.outbox (ordinal, relid, op, new)
        select number, tg_relid, 'I', row_to_json(n.*) from new_rows n;
    elsif tg_op = 'DELETE' then
        insert into basalt.outbox (ordinal, relid, op, old)
        select number, tg_relid, 'D', row_to_json(o.*) from old_rows o;
    else
        insert into basalt.outbox (ordinal, relid, op, old, new)
        select number, tg_relid, 'U', o.image, n.image
          from (select row_number() over () as position, row_to_json(r.*) as image from old_rows r) o
          join (select row_number() over () as position, row_to_json(r.*) as image from new_rows r) n using (position)
         order by position;
    end if;
    if found and not pg_try_advisory_xact_lock_shared(7341000, 0) then
        notify basalt_feed;
    end if;
    return null;
end
$$;

-- After each row: partitioned and inherited tables, whose transition tables do not tell where a row lives, and tables
-- with types of unknown manners. A partition written to directly that has no statement triggers yet decides here.
create or replace function basalt.feed_row() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'postgres'
set extra_float_digits = 1 set bytea_output = 'hex'
as $$
declare
    root      oid  := coalesce(pg_partition_root(tg_relid)::oid, tg_relid);
    stack     text := coalesce(current_setting('basalt.feed', true), '');
    number    text := substring(stack from ' ' || root || left(tg_op, 1) || '=(\d+)');
    op        text := left(tg_op, 1);
    old_image json;
    new_image json;
begin
    if number is null then -- an update that moved a row between partitions
        number := substring(stack from ' ' || root || 'U=(\d+)');
    end if;
    if number is null then
        if not exists (select from basalt.armed a where a.relid = root and a.expires_at > now())
           and pg_try_advisory_xact_lock_shared(7341001, (root::bigint - 2147483648)::int) then
            return null;
        end if;
        number := coalesce(nullif(split_part(stack, ' ', 1), ''), '0');
    end if;
    begin
        if tg_op <> 'INSERT' then
            old_image := row_to_json(old);
        end if;
        if tg_op <> 'DELETE' then
            new_image := row_to_json(new);
        end if;
    exception when others then
        op := 'X';
        old_image := null;
        new_image := to_json(sqlstate);
    end;
    insert into basalt.outbox (ordinal, relid, op, old, new)
    values (number::bigint, tg_relid, op::"char", old_image, new_image);
    if not pg_try_advisory_xact_lock_shared(7341000, 0) then
        notify basalt_feed;
    end if;
    return null;
end
$$;

-- Ends the entry of a statement whose rows feed_row has captured.
create or replace function basalt.feed_after() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    tag   text := ' ' || coalesce(pg_partition_root(tg_relid)::oid, tg_relid) || left(tg_op, 1) || '=';
    stack text := current_setting('basalt.feed', true);
    place int  := strpos(stack, tag);
    rest  text;
begin
    if place > 0 then
        rest := substr(stack, place + length(tag));
        perform set_config('basalt.feed', left(stack, place - 1) || substr(rest, length(split_part(rest, ' ', 1)) + 1),
                           true);
    end if;
    return null;
end
$$;

alter function basalt.feed_before() owner to basalt_internal;
alter function basalt.feed_statement() owner to basalt_internal;
alter function basalt.feed_row() owner to basalt_internal;
alter function basalt.feed_after() owner to basalt_internal;
revoke all on function basalt.feed_before(), basalt.feed_statement(), basalt.feed_row(), basalt.feed_after() from public;
