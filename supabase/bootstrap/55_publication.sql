-- The publication that names the tables whose changes clients may subscribe to. It starts empty.

set local client_min_messages = error;

do $$
begin
    if not exists (select from pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    -- Migrations run as postgres and add tables to it.
    alter publication supabase_realtime owner to postgres;
end
$$;
