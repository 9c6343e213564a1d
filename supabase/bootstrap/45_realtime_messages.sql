-- Schema realtime: the partitioned table of messages and the functions that send from SQL.

set local client_min_messages = warning;
set local role supabase_realtime_admin;

create table if not exists realtime.messages (
    topic          text not null,
    extension      text not null,
    payload        jsonb,
    event          text,
    private        boolean default false,
    updated_at     timestamp not null default now(),
    inserted_at    timestamp not null default now(),
    id             uuid not null default gen_random_uuid(),
    binary_payload bytea,
    constraint messages_pkey primary key (id, inserted_at),
    constraint messages_payload_exclusive check (payload is null or binary_payload is null)
) partition by range (inserted_at);

create index if not exists messages_inserted_at_topic_index
    on realtime.messages (inserted_at desc, topic)
    where extension = 'broadcast' and private is true;

-- Without policies private channels are closed.
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;
grant all on realtime.messages to postgres, dashboard_user;

-- Makes the daily partitions from yesterday to three days ahead and drops those older than keep_days.
-- Called by the gateway's scheduler; ensure_message_partition() is the net below it.
create or replace function realtime.maintain_message_partitions(keep_days integer default 3) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    today     date := (now() at time zone 'utc')::date;
    day       date;
    partition text;
begin
    perform pg_advisory_xact_lock(hashtext('realtime.maintain_message_partitions'));
    -- Partitions come and go every day; no API schema changes with them.
    perform set_config('basalt.quiet_ddl', 'on', true);

    for day in select generate_series(today - 1, today + 3, interval '1 day')::date loop
        partition := 'messages_' || to_char(day, 'YYYY_MM_DD');
        if to_regclass('realtime.' || partition) is null then
            execute format(
                'create table realtime.%I partition of realtime.messages for values from (%L) to (%L)',
                partition, day, day + 1);
            execute format('alter table realtime.%I enable row level security', partition);
        end if;
    end loop;

    for partition in
        select c.relname
          from pg_inherits i
          join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'realtime.messages'::regclass
           and c.relname ~ '^messages_\d{4}_\d\d_\d\d$'
           and to_date(right(c.relname, 10), 'YYYY_MM_DD') < today - keep_days
    loop
        execute format('drop table realtime.%I', partition);
    end loop;
    perform set_config('basalt.quiet_ddl', 'off', true);
end
$$;
revoke execute on function realtime.maintain_message_partitions(integer) from public;
grant execute on function realtime.maintain_message_partitions(integer) to postgres, basalt_internal;

-- Whoever sends may have today's partition made, and nothing else.
create or replace function realtime.ensure_message_partition() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if to_regclass('realtime.messages_' || to_char(now() at time zone 'utc', 'YYYY_MM_DD')) is null then
        perform realtime.maintain_message_partitions();
    end if;
end
$$;

create or replace function realtime.topic() returns text
language sql stable as $$
    select nullif(current_setting('realtime.topic', true), '')
$$;

-- Broadcasts a JSON payload to a topic. Never raises: a message that cannot be sent is a warning.
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void
language plpgsql as $$
declare
    message_id uuid := gen_random_uuid();
begin
    perform set_config('realtime.topic', topic, true);
    perform realtime.ensure_message_partition();
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (message_id,
            case when payload ? 'id' or jsonb_typeof(payload) <> 'object' then payload
                 else jsonb_set(payload, '{id}', to_jsonb(message_id)) end,
            event, topic, private, 'broadcast');
exception when others then
    raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- Broadcasts raw bytes to a topic. Never raises.
create or replace function realtime.send_binary(payload bytea, event text, topic text, private boolean default true)
returns void
language plpgsql as $$
begin
    perform set_config('realtime.topic', topic, true);
    perform realtime.ensure_message_partition();
    insert into realtime.messages (binary_payload, event, topic, private, extension)
    values (payload, event, topic, private, 'broadcast');
exception when others then
    raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- For use in a row trigger: broadcasts what a statement did to a row.
create or replace function realtime.broadcast_changes(
    topic_name   text,
    event_name   text,
    operation    text,
    table_name   text,
    table_schema text,
    new          record,
    old          record,
    level        text default 'ROW'
) returns void
language plpgsql as $$
begin
    if level = 'STATEMENT' then
        raise exception 'function can only be triggered for each row, not for each statement';
    end if;
    if operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'Unexpected operation type: %', operation;
    end if;
    perform realtime.send(
        jsonb_build_object(
            'old_record', old,
            'record', new,
            'operation', operation,
            'table', table_name,
            'schema', table_schema),
        event_name, topic_name);
end
$$;

reset role;

select realtime.maintain_message_partitions();
