-- Roles of a Supabase database, and the two logins of Basalt: authenticator (requests) and basalt_internal (auth, feed, scheduler).
--
-- Applied by tools/migrate, which sets is_superuser. Without superuser rights (a managed database) a reduced form is made:
-- no role bypasses row security, and the caller becomes a member of every role that is made here.
--
-- psql variables, all optional: authenticator_password, internal_password, postgres_password.
-- A password that is not passed in stays as it is; a role without one cannot log in under scram-sha-256.

set local client_min_messages = warning;

create or replace procedure pg_temp.ensure_role(role_name text, attributes text)
language plpgsql as $$
declare
    is_superuser boolean := (select rolsuper from pg_roles where rolname = current_user);
    has_role     boolean := exists (select from pg_roles where rolname = role_name);
begin
    if not has_role then
        execute format('create role %I', role_name);
    end if;
    if is_superuser then
        -- A role that is a superuser already (the cluster's own postgres, say) is somebody's way in: it is left alone.
        if not exists (select from pg_roles where rolname = role_name and rolsuper) then
            execute format('alter role %I %s', role_name, attributes);
        end if;
        return;
    end if;
    if not has_role then
        execute format('alter role %I %s', role_name,
                       regexp_replace(attributes, '\y(superuser|replication|bypassrls)\y', '', 'g'));
    end if;
    if role_name <> current_user and not pg_has_role(current_user, role_name, 'member') then
        execute format('grant %I to current_user', role_name);
    end if;
end
$$;

call pg_temp.ensure_role('supabase_admin', 'superuser createdb createrole replication bypassrls login');
call pg_temp.ensure_role('postgres', 'login createdb createrole replication bypassrls');
call pg_temp.ensure_role('anon', 'nologin inherit');
call pg_temp.ensure_role('authenticated', 'nologin inherit');
call pg_temp.ensure_role('service_role', 'nologin inherit bypassrls');
call pg_temp.ensure_role('authenticator', 'login noinherit');
call pg_temp.ensure_role('basalt_internal', 'login inherit');
call pg_temp.ensure_role('supabase_auth_admin', 'login noinherit createrole');
call pg_temp.ensure_role('supabase_storage_admin', 'login noinherit createrole');
call pg_temp.ensure_role('supabase_realtime_admin', 'nologin noinherit');
call pg_temp.ensure_role('supabase_functions_admin', 'login noinherit createrole');
call pg_temp.ensure_role('supabase_replication_admin', 'login replication');
call pg_temp.ensure_role('supabase_read_only_user', 'login bypassrls');
call pg_temp.ensure_role('dashboard_user', 'nologin createdb createrole replication');

grant anon, authenticated, service_role to authenticator;
grant authenticator to supabase_storage_admin;
grant pg_read_all_data to supabase_read_only_user;

grant anon, authenticated, service_role to postgres;
grant supabase_auth_admin, supabase_storage_admin, supabase_realtime_admin, supabase_functions_admin to postgres;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;

-- basalt_internal acts with the rights of the auth, storage and realtime owners. It reaches the API roles, and every
-- role that a project grants to authenticator, only through SET ROLE: authenticator does not inherit, so nothing of
-- theirs is usable by accident.
grant supabase_auth_admin, supabase_storage_admin, supabase_realtime_admin to basalt_internal;
grant authenticator to basalt_internal;

alter role supabase_admin set search_path = "$user", public, auth, extensions;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = 60000;
alter role supabase_storage_admin set search_path = storage;
alter role basalt_internal set idle_in_transaction_session_timeout = 60000;

-- anon and authenticated never log in: the gateway reads these two values and applies them per request.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role authenticator set idle_in_transaction_session_timeout = 60000;

-- Projects set these by a migration ("alter role authenticator set pgrst.db_max_rows = '500'"), which runs as postgres;
-- since version 15 a setting that no module defines needs the right to set it.
do $$
declare
    setting text;
begin
    if not (select rolsuper from pg_roles where rolname = current_user)
       or current_setting('server_version_num')::int < 150000 then
        return;
    end if;
    foreach setting in array array[
        'client_error_verbosity', 'db_aggregates_enabled', 'db_anon_role', 'db_extra_search_path', 'db_hoisted_tx_settings',
        'db_max_rows', 'db_plan_enabled', 'db_pre_config', 'db_pre_request', 'db_prepared_statements', 'db_root_spec',
        'db_schemas', 'db_tx_end', 'jwt_aud', 'jwt_cache_max_entries', 'jwt_role_claim_key',
        'jwt_secret', 'jwt_secret_is_base64', 'openapi_mode', 'openapi_security_active', 'openapi_server_proxy_uri',
        'server_cors_allowed_origins', 'server_timing_enabled', 'server_trace_header', 'url_use_legacy_target_names']
    loop
        execute format('grant set on parameter %I to postgres', 'pgrst.' || setting);
    end loop;
end
$$;

-- Keep the statements that carry passwords out of the server's log, also when they fail.
\if :is_superuser
set local log_statement = 'none';
set local log_min_duration_statement = -1;
set local log_min_error_statement = 'panic';
\endif
\if :{?authenticator_password}
alter role authenticator password :'authenticator_password';
\endif
\if :{?internal_password}
alter role basalt_internal password :'internal_password';
\endif
\if :{?postgres_password}
alter role postgres password :'postgres_password';
\endif
\if :is_superuser
set local log_statement to default;
set local log_min_duration_statement to default;
set local log_min_error_statement to default;
\endif
