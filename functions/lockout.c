#include "functions/lockout.h"

#include "base/observe.h"

/* Many people may sit behind one address. */
#define ADDR_MAX "30"
#define ADDR_MINUTES "15"

/* One at a time per identifier and per address, always in this order. */
static const char SERIALISE_SQL[] =
    "select pg_advisory_xact_lock(hashtextextended('basalt lockout ' || $2 || ' ' || lower(btrim($1)), 0)),"
    "       pg_advisory_xact_lock(hashtextextended('basalt lockout ip ' || $3, 0))";

/* Failures of an address age out; those of a name do not, as documented. */
static const char AGE_SQL[] = "delete from public.auth_rate_limits"
                              " where identifier_type = 'ip_address' and identifier = $1"
                              "   and last_attempt_at < now() - make_interval(mins => " ADDR_MINUTES ")"
                              "   and coalesce(locked_until, now()) <= now()";

static const char CHECK_SQL[] =
    "select greatest((a.state ->> 'lockout_remaining_seconds')::int, (b.state ->> "
    "'lockout_remaining_seconds')::int),"
    "       (a.state ->> 'remaining_attempts')::int"
    "  from (select public.check_auth_rate_limit($1, $2, $3::int, $4::int) as state) a,"
    "       (select public.check_auth_rate_limit($5, 'ip_address', " ADDR_MAX ", " ADDR_MINUTES
    ") as state) b";

static const char COUNT_SQL[] =
    "select public.record_auth_attempt($1, $2, false, $3::int, $4::int),"
    "       public.record_auth_attempt($5, 'ip_address', false, " ADDR_MAX ", " ADDR_MINUTES ")";

static const char GIVE_BACK_SQL[] =
    "update public.auth_rate_limits"
    "   set attempt_count = greatest(attempt_count - 1, 0), locked_until = null"
    " where identifier = public.normal_identifier($1) and identifier_type = $2";

static str_t addr_of(const api_task_t *task)
{
    return task->client_addr.len > 0 ? task->client_addr : STR("unknown");
}

static str_t number(pool_t *pool, int64_t value)
{
    return pool_printf(pool, "%lld", (long long)value);
}

static err_t *enter(api_task_t *task, db_session_t *session, lockout_t *lock)
{
    db_rows_t rows = {0};
    str_t type = str_from_c(lock->type), addr = addr_of(task);
    str_t max = number(task->pool, lock->max), minutes = number(task->pool, lock->minutes);
    err_t *err =
        db_session_query(session, FN_SQL(SERIALISE_SQL), DB_PARAMS(lock->identifier, type, addr), NULL);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(AGE_SQL), DB_PARAMS(addr), NULL);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(CHECK_SQL),
                               DB_PARAMS(lock->identifier, type, max, minutes, addr), &rows);
    if (err != NULL)
        return err;
    if (!str_to_int64(db_value(&rows, 0, 0), &lock->seconds_left) ||
        !str_to_int64(db_value(&rows, 0, 1), &lock->remaining))
        return err_bug(task->pool, "a lock has no numbers");
    lock->is_locked = lock->seconds_left > 0;
    lock->remaining -= lock->remaining > 0;
    return lock->is_locked ? NULL
                           : db_session_query(session, FN_SQL(COUNT_SQL),
                                              DB_PARAMS(lock->identifier, type, max, minutes, addr), NULL);
}

err_t *lockout_enter(api_task_t *task, lockout_t *lock)
{
    db_session_t *session = NULL;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = enter(task, session, lock);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static err_t *leave(api_task_t *task, const lockout_t *lock, bool is_success)
{
    db_session_t *session = NULL;
    str_t type = str_from_c(lock->type);
    /* Also when the function's time is up: a directory that was slow is nobody's fault. */
    err_t *err = fn_begin_service_for(task->gateway, task->pool, &session);
    if (err == NULL && is_success)
        err = db_session_query(session, STR("select public.record_auth_attempt($1, $2, true)"),
                               DB_PARAMS(lock->identifier, type), NULL);
    else if (err == NULL)
        err = db_session_query(session, FN_SQL(GIVE_BACK_SQL), DB_PARAMS(lock->identifier, type), NULL);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(GIVE_BACK_SQL), DB_PARAMS(addr_of(task), STR("ip_address")),
                               NULL);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

err_t *lockout_success(api_task_t *task, const lockout_t *lock)
{
    return leave(task, lock, true);
}

void lockout_release(api_task_t *task, const lockout_t *lock)
{
    err_t *err = leave(task, lock, false);
    if (err != NULL)
        observe(LOG_WARN, "lockout_not_released", F_STR("code", err->code), F_STR("message", err->message));
}

void lockout_reply(api_task_t *task, const lockout_t *lock, const char *message)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", false);
    emit_kv_string(&emit, "error", str_from_c(message));
    emit_kv_int(&emit, "lockout_remaining_seconds", lock->seconds_left);
    emit_object_end(&emit);
    fn_reply(task, 429, buf_str(&out));
}
