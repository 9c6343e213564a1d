#include "db/wash.h"

const char *const DB_WASH[] = {
    "select pg_catalog.set_config('role', 'none', false), pg_catalog.pg_advisory_unlock_all()",
    "RESET ALL",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "UNLISTEN *",
};
const size_t DB_WASH_COUNT = sizeof(DB_WASH) / sizeof(DB_WASH[0]);

static bool is_caller(const db_wash_t *wash, str_t role, str_t claims)
{
    str_t known = buf_str(&wash->caller);
    return str_eq(str_slice(known, 0, wash->role_len), role) &&
           str_eq(str_slice(known, wash->role_len, known.len), claims);
}

bool db_wash_before(db_wash_t *wash, str_t role, str_t claims, bool may_leave)
{
    bool is_same = wash->is_due && is_caller(wash, role, claims);
    bool must_wash = wash->is_due && !is_same;
    wash->is_due = is_same || may_leave;
    if (may_leave && !is_same) {
        buf_clear(&wash->caller);
        buf_append_str(&wash->caller, role);
        wash->role_len = role.len;
        buf_append_str(&wash->caller, claims);
    }
    return must_wash;
}

void db_wash_dispose(db_wash_t *wash)
{
    buf_dispose(&wash->caller);
}
