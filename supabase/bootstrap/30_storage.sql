-- Schema storage: buckets, objects and the name functions that storage policies use.

set local client_min_messages = warning;
set local role supabase_storage_admin;

do $$
begin
    if to_regtype('storage.buckettype') is null then
        create type storage.buckettype as enum ('STANDARD', 'ANALYTICS');
    end if;
end
$$;

create table if not exists storage.migrations (
    id          integer primary key,
    name        varchar(100) unique not null,
    hash        varchar(40) not null,
    executed_at timestamp default current_timestamp
);

create table if not exists storage.buckets (
    id                 text primary key,
    name               text not null,
    owner              uuid,
    created_at         timestamptz default now(),
    updated_at         timestamptz default now(),
    public             boolean default false,
    avif_autodetection boolean default false,
    file_size_limit    bigint,
    allowed_mime_types text[],
    owner_id           text,
    type               storage.buckettype not null default 'STANDARD'
);
create unique index if not exists bname on storage.buckets (name);
comment on column storage.buckets.owner is 'Superseded by owner_id.';

create table if not exists storage.objects (
    id               uuid primary key default gen_random_uuid(),
    bucket_id        text,
    name             text,
    owner            uuid,
    created_at       timestamptz default now(),
    updated_at       timestamptz default now(),
    last_accessed_at timestamptz default now(),
    metadata         jsonb,
    path_tokens      text[] generated always as (string_to_array(name, '/')) stored,
    version          text,
    owner_id         text,
    user_metadata    jsonb,
    constraint "objects_bucketId_fkey" foreign key (bucket_id) references storage.buckets (id)
);
create unique index if not exists bucketid_objname on storage.objects (bucket_id, name);
create index if not exists name_prefix_search on storage.objects (name text_pattern_ops);
comment on column storage.objects.owner is 'Superseded by owner_id.';

create table if not exists storage.s3_multipart_uploads (
    id               text primary key,
    in_progress_size bigint not null default 0,
    upload_signature text not null,
    bucket_id        text not null references storage.buckets (id),
    key              text not null collate "C",
    version          text not null,
    owner_id         text,
    created_at       timestamptz not null default now(),
    user_metadata    jsonb
);

create table if not exists storage.s3_multipart_uploads_parts (
    id          uuid primary key default gen_random_uuid(),
    upload_id   text not null references storage.s3_multipart_uploads (id) on delete cascade,
    size        bigint not null default 0,
    part_number integer not null,
    bucket_id   text not null references storage.buckets (id),
    key         text not null collate "C",
    etag        text not null,
    owner_id    text,
    version     text not null,
    created_at  timestamptz not null default now()
);

alter table storage.migrations enable row level security;
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
alter table storage.s3_multipart_uploads enable row level security;
alter table storage.s3_multipart_uploads_parts enable row level security;

-- Row security decides; without policies nobody but the service role sees a row.
grant all on storage.buckets, storage.objects to postgres, anon, authenticated, service_role;
grant all on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to postgres, service_role;
grant select on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to anon, authenticated;
grant all on storage.migrations to postgres;

-- Folders of an object's name: all parts but the last.
create or replace function storage.foldername(name text) returns text[]
language sql immutable as $$
    select (string_to_array(name, '/'))[1:array_length(string_to_array(name, '/'), 1) - 1]
$$;

-- Last part of an object's name.
create or replace function storage.filename(name text) returns text
language sql immutable as $$
    select (string_to_array(name, '/'))[array_length(string_to_array(name, '/'), 1)]
$$;

-- What follows the last dot of the file name; empty without a dot.
create or replace function storage.extension(name text) returns text
language sql immutable as $$
    select coalesce(substring(storage.filename(name) from '\.([^.]*)$'), '')
$$;

-- One level of a bucket below prefix: folders (null id) and objects whose name continues with search.
create or replace function storage.search(
    prefix     text,
    bucketname text,
    limits     integer default 100,
    levels     integer default 1,
    offsets    integer default 0,
    search     text default '',
    sortcolumn text default 'name',
    sortorder  text default 'asc'
) returns table (
    name             text,
    id               uuid,
    updated_at       timestamptz,
    created_at       timestamptz,
    last_accessed_at timestamptz,
    metadata         jsonb
)
language plpgsql stable as $$
declare
    direction text := case when lower(sortorder) = 'desc' then 'desc' else 'asc' end;
    sorted_by text := case when sortcolumn in ('name', 'updated_at', 'created_at', 'last_accessed_at')
                           then sortcolumn else 'name' end;
begin
    return query execute format($query$
        with matching as (
            select o.*, array_length(o.path_tokens, 1) = $2 as is_leaf, o.path_tokens[$2] as part
              from storage.objects o
             where o.bucket_id = $1 and starts_with(lower(o.name), lower($3))
               and array_length(o.path_tokens, 1) >= $2
        ), entries as (
            select part as name, null::uuid as id, null::timestamptz as updated_at,
                   null::timestamptz as created_at, null::timestamptz as last_accessed_at, null::jsonb as metadata
              from matching where not is_leaf group by part
            union all
            select part, m.id, m.updated_at, m.created_at, m.last_accessed_at, m.metadata
              from matching m where is_leaf
        )
        select * from entries order by (id is not null), %I %s nulls last limit $4 offset $5
    $query$, sorted_by, direction)
    using bucketname, levels, prefix || search, limits, offsets;
end
$$;

reset role;
