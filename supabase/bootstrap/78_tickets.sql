-- Tickets that were used: each signs one user in, once.

create table if not exists basalt.used_tickets (
    id         uuid primary key,
    expires_at timestamptz not null
);
alter table basalt.used_tickets owner to postgres;

-- True for the first who comes with it. Those that have run out are refused by their date and need no row.
create or replace function basalt.ticket_use(ticket_id uuid, ticket_expires_at timestamptz) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
    delete from basalt.used_tickets where expires_at < now() - interval '5 minutes';
    insert into basalt.used_tickets (id, expires_at) values (ticket_id, ticket_expires_at) on conflict do nothing;
    return found;
end
$$;

alter function basalt.ticket_use(uuid, timestamptz) owner to postgres;
revoke execute on function basalt.ticket_use(uuid, timestamptz) from public;
grant execute on function basalt.ticket_use(uuid, timestamptz) to basalt_internal;
