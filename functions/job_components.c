#include "functions/job_components.h"

static const char SQL[] =
    "insert into public.jobs (job_type, status, target_scope, details, created_by, parent_job_id,"
    "                         component_order)"
    " select 'firmware_update', 'pending', j.target_scope,"
    "        jsonb_build_object('component', c.name, 'version', 'latest', 'apply_time', 'OnReset'),"
    "        j.created_by, j.id, c.position"
    "   from public.jobs j,"
    "        unnest('{iDRAC,BIOS,CPLD,RAID,NIC,Backplane}'::text[]) with ordinality as c (name, position)"
    "  where j.id = $1::uuid and j.job_type = 'full_server_update'";

err_t *job_components_insert(db_session_t *session, str_t job_id)
{
    return db_session_query(session, FN_SQL(SQL), DB_PARAMS(job_id), NULL);
}
