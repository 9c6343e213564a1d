-- The private schema of Basalt: leases, tickets, armed tables, outbox. No API role may look into it.

create schema if not exists basalt authorization basalt_internal;
revoke all on schema basalt from public;

-- A superuser may give objects to any role; others only to a role that could have made them.
\if :is_superuser
\else
grant usage, create on schema basalt to postgres;
\endif

-- Which bootstrap this database carries, so that an unchanged one is not applied again.
create table if not exists basalt.bootstrap (
    is_current boolean primary key default true check (is_current),
    digest     text not null,
    applied_at timestamptz not null default now()
);
alter table basalt.bootstrap owner to basalt_internal;

comment on schema basalt is
    'Private to the gateway. Not exposed, no grants to API roles, left out of dumps.';
