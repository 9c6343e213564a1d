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
-- A table is watched when its sequence lies in the future, or when the shared try of its lock is refused. A granted try
-- is kept until the transaction ends: no gateway can believe the table watched while a statement is open that skipped
-- it. The sequence comes first, so that a busy table does not keep the lock from the gateway that tries for it.
-- Arguments: the sequence, the lock's key, the root of the partition tree. Runs as the writer, on every statement of
-- the table, and is dear in nothing but its first condition: names are qualified instead of a pinned search_path.
create or replace function basalt.feed_before() returns trigger
language plpgsql as $$
declare
    armed   bigint;
    stack   text;
    counter text;
begin
    armed := pg_catalog.pg_sequence_last_value(tg_argv[0]::pg_catalog.oid::pg_catalog.regclass);
    if (armed operator(pg_catalog.>) 0::bigint and armed::float8 operator(pg_catalog.>)
            pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()))
       or not pg_catalog.pg_try_advisory_xact_lock_shared(7341001, tg_argv[1]::int) then
        stack := coalesce(pg_catalog.current_setting('basalt.feed', true), '');
        counter := pg_catalog.split_part(stack, ' ', 1);
        -- An assignment, not PERFORM: expressions are evaluated directly, queries by the executor.
        stack := pg_catalog.set_config('basalt.feed', pg_catalog.format('%1$s %2$s%3$s=%1$s%4$s',
            coalesce(nullif(counter, ''), '0')::bigint operator(pg_catalog.+) 1::bigint, tg_argv[2],
            pg_catalog.left(tg_op, 1), pg_catalog.substr(stack, pg_catalog.length(counter) operator(pg_catalog.+) 1)), true);
    end if;
    return null;
end
$$;

-- Pins what the text of values depends on, where the session has it otherwise. Returns what to give to feed_unpin.
create or replace function basalt.feed_pin() returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    before text[] := array[current_setting('timezone'), current_setting('datestyle'), current_setting('intervalstyle'),
                           current_setting('extra_float_digits'), current_setting('bytea_output')];
begin
    perform set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, YMD', true),
            set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
            set_config('bytea_output', 'hex', true);
    return before;
end
$$;

create or replace function basalt.feed_unpin(before text[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    select set_config('timezone', before[1], true), set_config('datestyle', before[2], true),
           set_config('intervalstyle', before[3], true), set_config('extra_float_digits', before[4], true),
           set_config('bytea_output', before[5], true)
$$;

-- After each statement on an ordinary table, if feed_before has noted it under the argument. Old and new rows are paired by their position;
-- the join is a full one because its plan is kept for statements of any size, and a full join never nests loops. The
-- watched table's columns may have any name, hence variables first and whole rows as alias.*.
create or replace function basalt.feed_statement() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    stack  text := current_setting('basalt.feed', true);
    place  int;
    rest   text;
    number text;
    before text[];
begin
    if stack is null then
        return null;
    end if;
    place := strpos(stack, tg_argv[0]);
    if place = 0 then
        return null;
    end if;
    rest := substr(stack, place + length(tg_argv[0]));
    number := split_part(rest, ' ', 1);
    stack := set_config('basalt.feed', left(stack, place - 1) || substr(rest, length(number) + 1), true);
    if current_setting('timezone') not in ('UTC', 'Etc/UTC', 'GMT') or current_setting('datestyle') not like 'ISO%'
       or current_setting('intervalstyle') <> 'postgres' or current_setting('extra_float_digits') not in ('1', '2', '3')
       or current_setting('bytea_output') <> 'hex' then
        before := basalt.feed_pin();
    end if;
    if tg_op = 'INSERT' then
        insert into basalt.outbox (ordinal, relid, op, new)
        select number::bigint, tg_relid, 'I', row_to_json(n.*) from new_rows n;
    elsif tg_op = 'DELETE' then
        insert into basalt.outbox (ordinal, relid, op, old)
        select number::bigint, tg_relid, 'D', row_to_json(o.*) from old_rows o;
    else
        insert into basalt.outbox (ordinal, relid, op, old, new)
        select number::bigint, tg_relid, 'U', o.image, n.image
          from (select row_number() over () as position, row_to_json(r.*) as image from old_rows r) o
          full join (select row_number() over () as position, row_to_json(r.*) as image from new_rows r) n
               using (position)
         order by position;
    end if;
    if found and not pg_try_advisory_xact_lock_shared(7341000, 0) then
        notify basalt_feed;
    end if;
    if before is not null then
        perform basalt.feed_unpin(before);
    end if;
    return null;
end
$$;

-- The condition of feed_before, for feed_row.
create or replace function basalt.feed_is_watched(armed oid, lock_key int) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    return coalesce(pg_sequence_last_value(armed::regclass) > date_part('epoch', clock_timestamp()), false)
           or not pg_try_advisory_xact_lock_shared(7341001, lock_key);
end
$$;

-- After each row: partitioned and inherited tables, whose transition tables do not tell where a row lives, and tables
-- with types of unknown manners. A new partition that is written to directly has no feed_before yet, so whether the
-- table is watched is decided again. Arguments as there. Rows of realtime.messages are messages to channels (op M).
create or replace function basalt.feed_row() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    root      oid  := coalesce(pg_partition_root(tg_relid)::oid, tg_relid);
    stack     text := coalesce(current_setting('basalt.feed', true), '');
    number    text := substring(stack from ' ' || root || left(tg_op, 1) || '=(\d+)');
    op        text := left(tg_op, 1);
    before    text[];
    old_image json;
    new_image json;
begin
    if root = 'realtime.messages'::regclass then
        if tg_op <> 'INSERT' or new.extension <> 'broadcast' then
            return null;
        end if;
        op := 'M';
    end if;
    if number is null then -- an update that moved a row between partitions, or a new partition
        if not basalt.feed_is_watched(tg_argv[0]::oid, tg_argv[1]::int) then
            return null;
        end if;
        number := coalesce(substring(stack from ' ' || root || 'U=(\d+)'), nullif(split_part(stack, ' ', 1), ''), '0');
    end if;
    before := basalt.feed_pin();
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
    perform basalt.feed_unpin(before);
    return null;
end
$$;

-- Ends the entry of a statement whose rows feed_row has captured. The argument is the root.
create or replace function basalt.feed_after() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    tag   text := ' ' || tg_argv[0] || left(tg_op, 1) || '=';
    stack text := current_setting('basalt.feed', true);
    place int  := strpos(stack, tag);
    rest  text;
begin
    if place > 0 then
        rest := substr(stack, place + length(tag));
        stack := set_config('basalt.feed', left(stack, place - 1) || substr(rest, length(split_part(rest, ' ', 1)) + 1),
                            true);
    end if;
    return null;
end
$$;

alter function basalt.feed_before() owner to basalt_internal;
alter function basalt.feed_statement() owner to basalt_internal;
alter function basalt.feed_row() owner to basalt_internal;
alter function basalt.feed_after() owner to basalt_internal;
alter function basalt.feed_pin() owner to basalt_internal;
alter function basalt.feed_unpin(text[]) owner to basalt_internal;
alter function basalt.feed_is_watched(oid, int) owner to basalt_internal;
revoke all on function basalt.feed_before(), basalt.feed_statement(), basalt.feed_row(), basalt.feed_after(),
    basalt.feed_pin(), basalt.feed_unpin(text[]) from public;
