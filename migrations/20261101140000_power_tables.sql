-- Power distribution units, their outlets, and which server hangs on which.

-- Power distribution units.
create table pdus (
    id                    uuid not null default gen_random_uuid(),
    name                  text not null,
    ip_address            text not null,
    hostname              text,
    model                 text,
    manufacturer          text default 'Schneider Electric',
    firmware_version      text,
    total_outlets         integer default 8,
    username              text default 'apc',
    password_encrypted    text,
    protocol              text default 'auto',
    snmp_community        text default 'public',
    connection_status     text default 'unknown',
    last_seen             timestamptz,
    last_sync             timestamptz,
    datacenter            text,
    rack_id               text,
    notes                 text,
    created_at            timestamptz default now(),
    updated_at            timestamptz default now(),
    snmp_write_community  text default 'private',
    last_sync_diagnostics jsonb,
    constraint pdus_pkey primary key (id),
    constraint pdus_ip_address_key unique (ip_address),
    constraint pdus_connection_status_check check (
        connection_status in ('online', 'offline', 'unknown', 'error')),
    constraint pdus_protocol_check check (protocol in ('snmp', 'nmc', 'auto'))
);
create index idx_pdus_connection_status on pdus (connection_status);
create index idx_pdus_ip_address on pdus (ip_address);
alter table pdus enable row level security;
create trigger update_pdus_updated_at
    before update on pdus
    for each row execute function update_updated_at_column();
create trigger encrypt_pdus_secrets
    before insert or update on pdus
    for each row execute function encrypt_secret_columns('password_encrypted', 'snmp_community', 'snmp_write_community');

-- Outlets of a unit and their state.
create table pdu_outlets (
    id                uuid not null default gen_random_uuid(),
    pdu_id            uuid not null,
    outlet_number     integer not null,
    outlet_name       text,
    outlet_state      text default 'unknown',
    last_state_change timestamptz,
    last_updated      timestamptz default now(),
    constraint pdu_outlets_pkey primary key (id),
    constraint pdu_outlets_pdu_id_outlet_number_key unique (pdu_id, outlet_number),
    constraint pdu_outlets_outlet_state_check check (outlet_state in ('on', 'off', 'unknown')),
    constraint pdu_outlets_pdu_id_fkey foreign key (pdu_id)
        references pdus (id) on delete cascade
);
create index idx_pdu_outlets_pdu_id on pdu_outlets (pdu_id);
create index idx_pdu_outlets_state on pdu_outlets (outlet_state);
alter table pdu_outlets enable row level security;

-- Which feed of a server hangs on which outlet.
create table server_pdu_mappings (
    id            uuid not null default gen_random_uuid(),
    server_id     uuid not null,
    pdu_id        uuid not null,
    outlet_number integer not null,
    feed_label    text default 'A',
    notes         text,
    created_at    timestamptz default now(),
    constraint server_pdu_mappings_pkey primary key (id),
    constraint server_pdu_mappings_server_id_pdu_id_outlet_number_key unique (server_id, pdu_id, outlet_number),
    constraint server_pdu_mappings_feed_label_check check (feed_label in ('A', 'B')),
    constraint server_pdu_mappings_pdu_id_fkey foreign key (pdu_id)
        references pdus (id) on delete cascade,
    constraint server_pdu_mappings_server_id_fkey foreign key (server_id)
        references servers (id) on delete cascade
);
create index idx_server_pdu_mappings_pdu_id on server_pdu_mappings (pdu_id);
create index idx_server_pdu_mappings_server_id on server_pdu_mappings (server_id);
alter table server_pdu_mappings enable row level security;
