-- What policies and stock clients ask auth for, and the list of GoTrue migrations that 20_auth_tables.sql stands for.

set local role supabase_auth_admin;

create or replace function auth.uid() returns uuid
language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;

create or replace function auth.role() returns text
language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;

create or replace function auth.email() returns text
language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.email', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
    )
$$;

create or replace function auth.jwt() returns jsonb
language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;

comment on function auth.uid() is 'Subject of the caller''s token; null for anonymous callers and for the service role.';
comment on function auth.role() is 'Role claim of the caller''s token.';
comment on function auth.email() is 'E-mail claim of the caller''s token.';
comment on function auth.jwt() is 'All claims of the caller''s token.';

grant execute on function auth.uid(), auth.role(), auth.email(), auth.jwt() to public;

-- A GoTrue that is pointed at this database must not run its migrations a second time.
insert into auth.schema_migrations (version)
select unnest(array[
    '00', '20210710035447', '20210722035447', '20210730183235', '20210909172000', '20210927181326',
    '20211122151130', '20211124214934', '20211202183645', '20220114185221', '20220114185340',
    '20220224000811', '20220323170000', '20220429102000', '20220531120530', '20220614074223',
    '20220811173540', '20221003041349', '20221003041400', '20221011041400', '20221020193600',
    '20221021073300', '20221021082433', '20221027105023', '20221114143122', '20221114143410',
    '20221125140132', '20221208132122', '20221215195500', '20221215195800', '20221215195900',
    '20230116124310', '20230116124412', '20230131181311', '20230322519590', '20230402418590',
    '20230411005111', '20230508135423', '20230523124323', '20230818113222', '20230914180801',
    '20231027141322', '20231114161723', '20231117164230', '20240115144230', '20240214120130',
    '20240306115329', '20240314092811', '20240427152123', '20240612123726', '20240729123726',
    '20240802193726', '20240806073726', '20241009103726', '20250717082212', '20250731150234',
    '20250804100000', '20250901200500', '20250903112500', '20250904133000', '20250925093508',
    '20251007112900', '20251104100000', '20251111201300', '20251201000000', '20260115000000',
    '20260121000000', '20260219120000', '20260302000000', '20260625000000'
])
on conflict do nothing;

reset role;
