-- graphql_public: answers that GraphQL is not there, as Supabase does without pg_graphql.

set local role supabase_admin;

create or replace function graphql_public.graphql(
    "operationName" text default null,
    query           text default null,
    variables       jsonb default null,
    extensions      jsonb default null
) returns jsonb
language sql stable as $$
    select jsonb_build_object('errors', jsonb_build_array(jsonb_build_object(
        'message', 'pg_graphql extension is not enabled.')))
$$;

grant execute on function graphql_public.graphql to anon, authenticated, service_role, postgres;

reset role;
