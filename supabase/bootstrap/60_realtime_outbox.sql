-- Change feed, storage: the outbox that triggers fill and the gateway reads, and the list of watched tables.

set local client_min_messages = warning;

-- One row per changed row. `ordinal` counts statements within a transaction in the order in which they began, `id` is
-- the order of capture. Triggers write it with their owner's rights; nobody else has any on it.
create table if not exists basalt.outbox (
    xid     xid8   not null default pg_current_xact_id(),
    ordinal bigint not null,
    id      bigint generated always as identity,
    relid   oid    not null,
    op      "char" not null, -- I, U, D; M: a message to a channel; X: a change that could not be captured, `new` says why
    old     json,
    new     json
);

-- The reader's only search: what became visible since its last snapshot.
create index if not exists outbox_xid on basalt.outbox (xid);

-- Rows live for seconds: vacuum often, and leave no time for the table to grow.
alter table basalt.outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                               autovacuum_vacuum_insert_scale_factor = 0, autovacuum_analyze_scale_factor = 1,
                               toast.autovacuum_vacuum_scale_factor = 0);

-- Tables (a partitioned one by its root) that some gateway watches, until a moment that the gateway keeps moving: it
-- stands in for the gateway's advisory lock when its connection is gone for a while. Triggers see the latest moment in
-- the sequence basalt.armed_<table>: cheap to read, and the same for every snapshot.
create table if not exists basalt.armed (
    relid      oid         not null,
    gateway    uuid        not null,
    expires_at timestamptz not null,
    primary key (relid, gateway)
);
alter table basalt.armed set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- What was deleted from the outbox: everything visible in `pruned`. A reader whose snapshot does not contain it has
-- missed something.
create table if not exists basalt.feed_state (
    is_only boolean primary key default true check (is_only),
    pruned  pg_snapshot not null
);
insert into basalt.feed_state (pruned) values ('1:1:') on conflict do nothing;

alter table basalt.outbox owner to basalt_internal;
alter table basalt.armed owner to basalt_internal;
alter table basalt.feed_state owner to basalt_internal;
revoke all on basalt.outbox, basalt.armed, basalt.feed_state from public;

comment on table basalt.outbox is
    'Row changes on their way to subscribers. Emptied by the gateway; leave it out of dumps (pg_dump --exclude-table-data).';
