-- Takes back what the default privileges give too generously. Every later migration that adds a function does the same.

revoke execute on all functions in schema public from public, anon, authenticated;

-- Policies call has_role with the caller's rights; the login page asks for the sign-in mode.
grant execute on function has_role(uuid, app_role), get_idm_auth_mode() to anon, authenticated;
grant execute on function get_user_role(uuid), mark_stale_agents_offline() to authenticated;

-- TRUNCATE passes row security by; no caller of the API needs any of the three.
revoke truncate, references, trigger on all tables in schema public from anon, authenticated;

-- The directory's settings are not even asked for by an anonymous caller.
revoke select on idm_settings from anon;
