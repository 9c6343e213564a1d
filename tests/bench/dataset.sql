-- What the benchmark reads and writes: 10,000 servers of 25 columns under row security, 2,000 jobs with 5 tasks each.
-- Jobs and tasks have the product's indexes and policies: no index on jobs.created_at lets the planner stop early.
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit password :'password';
grant anon, authenticated, service_role to authenticator;
create schema auth;
grant usage on schema auth, public to anon, authenticated, service_role;

-- Supabase's
create function auth.uid() returns uuid language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;

create table public.user_roles (user_id uuid, role text, primary key (user_id, role));
create function public.has_role(_user_id uuid, _role text) returns boolean
language sql stable security definer set search_path = public as
$$ select exists (select 1 from user_roles where user_id = _user_id and role = _role) $$;

insert into public.user_roles
select ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, case when i = 1 then 'admin' else 'viewer' end
  from generate_series(1, 1001) i;

create table public.servers (
    id uuid primary key, hostname text not null, ip_address inet not null, model text, service_tag text,
    manufacturer text default 'Dell', bios_version text, idrac_firmware text, cpu_count int, memory_gb int,
    power_state text, overall_health text, connection_status text, datacenter text, rack_id text, rack_position text,
    notes text, total_storage_tb numeric, is_managed boolean, supported_endpoints jsonb, boot_order text[],
    last_seen timestamptz, created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
    owner_id uuid
);
insert into public.servers
select ('10000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'server-' || i,
       ('10.' || i / 65536 || '.' || i / 256 % 256 || '.' || i % 256)::inet, 'PowerEdge R' || 640 + i % 5 * 10,
       'TAG' || lpad(i::text, 5, '0'), 'Dell', '2.' || i % 20 || '.0', '7.00.' || i % 60, 2, 64 * (1 + i % 8),
       case when i % 7 = 0 then 'Off' else 'On' end, case when i % 50 = 0 then 'Warning' else 'OK' end, 'online',
       'dc-' || i % 4, 'rack-' || i % 200, 'U' || i % 42, 'A note with "quotes", a \ and an umlaut: ä. Row ' || i,
       (i % 400) / 10.0, i % 3 > 0, jsonb_build_object('systems', true, 'chassis', i % 2 = 0),
       array['NIC.1', 'HDD.1', 'CD.1'], now() - i * interval '1 minute', now(), now(), null
  from generate_series(1, 10000) i;

create table public.jobs (
    id int primary key, job_type text, status text, created_at timestamptz, details jsonb
);
create table public.job_tasks (
    id int primary key, job_id int references public.jobs, server_id uuid references public.servers, status text,
    progress int
);
create index on public.job_tasks (job_id);
create index on public.jobs (status);
insert into public.jobs
select i, 'health_check', 'completed', now() - i * interval '1 minute', '{"n": 1}' from generate_series(1, 2000) i;
insert into public.job_tasks
select i, (i - 1) / 5 + 1, ('10000000-0000-4000-8000-' || lpad((i % 10000 + 1)::text, 12, '0'))::uuid, 'completed', 100
  from generate_series(1, 10000) i;

create table public.notes (id bigint generated always as identity primary key, body text, at timestamptz default now());

-- The same wide rows to be changed, under a key that pgbench can draw.
create table public.machines as select row_number() over (order by id)::int as no, * from public.servers;
alter table public.machines add primary key (no);

create function public.add(a int, b int) returns int language sql stable as $$ select a + b $$;

alter table public.servers enable row level security;
create policy "signed in users read" on public.servers for select to authenticated
    using ((select public.has_role(auth.uid(), 'admin')) or (select public.has_role(auth.uid(), 'viewer')));
-- The same with a policy that PostgreSQL evaluates for each row.
create table public.guarded_servers as select * from public.servers limit 1000;
alter table public.guarded_servers enable row level security;
create policy "signed in users read" on public.guarded_servers for select to authenticated
    using (public.has_role((select auth.uid()), 'admin'));
grant select on public.guarded_servers to authenticated;
alter table public.jobs enable row level security;
create policy "signed in users read" on public.jobs for select using (auth.uid() is not null);
alter table public.job_tasks enable row level security;
create policy "admins write" on public.job_tasks
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
create policy "signed in users read" on public.job_tasks for select using (auth.uid() is not null);
alter table public.machines enable row level security;
create policy "signed in users read" on public.machines for select using (auth.uid() is not null);
create policy "admins update" on public.machines for update
    using (has_role(auth.uid(), 'admin') or has_role(auth.uid(), 'operator'));
alter table public.notes enable row level security;
create policy "signed in users write" on public.notes to authenticated using (true) with check (true);
grant select on public.servers, public.jobs, public.job_tasks to authenticated;
grant select, update on public.machines to authenticated;
grant all on public.notes to authenticated;
vacuum analyze;
