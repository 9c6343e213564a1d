#include "functions/vcenter_where.h"

/* Passwords were once stored by the browser in clear, later in two encrypted forms. */
#define ALL_SQL                                                                                              \
    "with key as (select (select encryption_key from public.activity_settings limit 1) as k),"               \
    " every as ("                                                                                            \
    "    select id::text, name, host, port, username, password_encrypted as sealed, verify_ssl, "            \
    "sync_enabled,"                                                                                          \
    "           not coalesce(is_primary, false) as is_later, created_at, false as is_single"                 \
    "      from public.vcenters"                                                                             \
    "    union all"                                                                                          \
    "    (select null, host, host, port, username, password, verify_ssl, true, false, created_at, true"      \
    "       from public.vcenter_settings order by created_at limit 1)"                                       \
    ")"                                                                                                      \
    " select id, name, host, port, username,"                                                                \
    "        case when starts_with(sealed, 'enc:v1:') then public.decrypt_password(sealed, k)"               \
    "             else coalesce(public.decrypt_password(sealed, k), sealed) end, verify_ssl"                 \
    "   from every, key"

static const char SYNCED_SQL[] =
    ALL_SQL " where case when is_single then not exists (select 1 from public.vcenters) else sync_enabled end"
            " order by is_later, created_at";
static const char SETTINGS_SQL[] = ALL_SQL " order by is_single desc, is_later, created_at limit 1";

err_t *vcenter_where(api_task_t *task, vcenter_choice_t choice, peer_where_t **out, size_t *count)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, choice == VCENTER_SYNCED ? FN_SQL(SYNCED_SQL) : FN_SQL(SETTINGS_SQL),
                               NULL, 0, &rows);
    db_session_rollback(session);
    *count = err == NULL ? rows.row_count : 0;
    *out = POOL_ARRAY(task->pool, peer_where_t, *count + 1);
    for (size_t i = 0; i < *count; i++) {
        peer_where_t *where = &(*out)[i];
        *where = (peer_where_t){.id = db_value(&rows, i, 0),
                                .name = db_value(&rows, i, 1),
                                .host = db_value(&rows, i, 2),
                                .username = db_value(&rows, i, 4),
                                .password = db_value(&rows, i, 5),
                                .is_verified = str_eq(db_value(&rows, i, 6), STR("t"))};
        if (!str_to_int64(db_value(&rows, i, 3), &where->port))
            where->port = 443;
    }
    return err;
}
