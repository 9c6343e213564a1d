-- Schema realtime: types, the subscription table and its checks, as clients' SQL and dumps know them.
--
-- Basalt does not decode the write-ahead log with wal2json, so the functions that only that decoder calls
-- (apply_rls, list_changes, quote_wal2json, build_prepared_statement_sql) are not here.

set local client_min_messages = warning;
set local role supabase_realtime_admin;

do $$
begin
    if to_regtype('realtime.action') is null then
        create type realtime.action as enum ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'ERROR');
    end if;
    if to_regtype('realtime.equality_op') is null then
        create type realtime.equality_op as enum (
            'eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'like', 'ilike', 'is', 'match', 'imatch', 'isdistinct');
    end if;
    if to_regtype('realtime.user_defined_filter') is null then
        create type realtime.user_defined_filter as (
            column_name text, op realtime.equality_op, value text, negate boolean);
    end if;
    if to_regtype('realtime.wal_column') is null then
        create type realtime.wal_column as (
            name text, type_name text, type_oid oid, value jsonb, is_pkey boolean, is_selectable boolean);
    end if;
    if to_regtype('realtime.wal_rls') is null then
        create type realtime.wal_rls as (
            wal jsonb, is_rls_enabled boolean, subscription_ids uuid[], errors text[]);
    end if;
end
$$;

-- Role names as the catalog knows them; fails for a role that does not exist.
create or replace function realtime.to_regrole(role_name text) returns regrole
language sql immutable as $$
    select role_name::regrole
$$;

create or replace function realtime.cast(val text, type_ regtype) returns jsonb
language plpgsql immutable as $$
declare
    result jsonb;
begin
    if type_::text = 'bytea' then
        return to_jsonb(val);
    end if;
    execute format('select to_jsonb(%L::%s)', val, type_::text) into result;
    return result;
end
$$;

-- Compares two texts as values of type_. Null compares to null, except for "is" and "isdistinct".
create or replace function realtime.check_equality_op(
    op realtime.equality_op, type_ regtype, val_1 text, val_2 text
) returns boolean
language plpgsql immutable as $$
declare
    operator text := case op
        when 'eq' then '=' when 'neq' then '<>'
        when 'lt' then '<' when 'lte' then '<=' when 'gt' then '>' when 'gte' then '>='
        when 'like' then 'like' when 'ilike' then 'ilike'
        when 'match' then '~' when 'imatch' then '~*'
        when 'isdistinct' then 'is distinct from'
    end;
    result boolean;
begin
    if op = 'in' then
        execute format('select %L::%s = any (%L::%s[])', val_1, type_, val_2, type_) into result;
    elsif op = 'is' then
        if val_2 not in ('null', 'true', 'false', 'unknown') then
            raise exception 'invalid value for is filter: %', val_2 using errcode = '22023';
        end if;
        execute format('select %L::%s is %s', val_1, type_, val_2) into result;
    else
        execute format('select %L::%s %s %L::%s', val_1, type_, operator, val_2,
                       case when op in ('like', 'ilike', 'match', 'imatch') then 'text' else type_::text end)
           into result;
    end if;
    return result;
end
$$;

create or replace function realtime.check_equality_op(
    op realtime.equality_op, type_ regtype, val_1 text, val_2 text, negate boolean
) returns boolean
language sql stable as $$
    select case when negate then not realtime.check_equality_op(op, type_, val_1, val_2)
                else realtime.check_equality_op(op, type_, val_1, val_2) end
$$;

create or replace function realtime.is_visible_through_filters(
    columns realtime.wal_column[], filters realtime.user_defined_filter[]
) returns boolean
language sql stable as $$
    select coalesce(bool_and(coalesce(
               c.name is not null
               and realtime.check_equality_op(f.op, c.type_oid::regtype, c.value #>> '{}', f.value,
                                              coalesce(f.negate, false)), false)), true)
      from unnest(filters) f
      left join unnest(columns) c on c.name = f.column_name
$$;

create table if not exists realtime.subscription (
    id               bigint generated always as identity primary key,
    subscription_id  uuid not null,
    entity           regclass not null,
    filters          realtime.user_defined_filter[] not null default '{}',
    claims           jsonb not null,
    claims_role      regrole not null generated always as (realtime.to_regrole(claims ->> 'role')) stored,
    created_at       timestamp not null default timezone('utc', now()),
    action_filter    text default '*' check (action_filter in ('*', 'INSERT', 'UPDATE', 'DELETE')),
    selected_columns text[]
);
create index if not exists ix_realtime_subscription_entity on realtime.subscription (entity);
create unique index if not exists subscription_subscription_id_entity_filters_action_filter_selec
    on realtime.subscription (subscription_id, entity, filters, action_filter, coalesce(selected_columns, '{}'));

-- Refuses a filter that the role could not have asked in a query, or whose value is not of the column's type.
create or replace function realtime.subscription_check_filters() returns trigger
language plpgsql as $$
declare
    filter      realtime.user_defined_filter;
    column_type regtype;
    checked     jsonb;
begin
    foreach filter in array new.filters loop
        select a.atttypid::regtype into column_type
          from pg_attribute a
         where a.attrelid = new.entity and a.attname = filter.column_name
           and a.attnum > 0 and not a.attisdropped
           and has_column_privilege((new.claims ->> 'role')::regrole, new.entity, a.attnum, 'select');
        if not found then
            raise exception 'invalid column for filter %', filter.column_name;
        end if;

        if filter.op = 'in' then
            checked := realtime.cast(filter.value, (column_type::text || '[]')::regtype);
            if jsonb_array_length(checked) > 100 then
                raise exception 'too many values for `in` filter. Maximum 100';
            end if;
        elsif filter.op in ('like', 'ilike', 'match', 'imatch') then
            if column_type not in ('text'::regtype, 'bpchar'::regtype) then
                raise exception 'operator % requires a text-compatible column type, got %', filter.op, column_type;
            end if;
            perform realtime.check_equality_op(filter.op, column_type, '', filter.value);
        elsif filter.op = 'is' then
            perform realtime.check_equality_op(filter.op, column_type, null, filter.value);
        else
            checked := realtime.cast(filter.value, column_type);
        end if;
    end loop;

    -- One order, so that the unique index sees equal subscriptions as equal.
    new.filters := coalesce(
        (select array_agg(f order by f.column_name, f.op, f.value, f.negate) from unnest(new.filters) f), '{}');
    return new;
end
$$;

create or replace trigger tr_check_filters
    before insert or update on realtime.subscription
    for each row execute function realtime.subscription_check_filters();

grant select on realtime.subscription to anon, authenticated, service_role;
grant all on realtime.subscription to postgres, dashboard_user;

reset role;
