#include "base/observe.h"
#include "scheduler/inside.h"

static const char STATE_SQL[] = "select name, floor(extract(epoch from last_due))::bigint"
                                "  from basalt.schedule_state where kind = 'gateway'";

static bool find_last(const db_rows_t *rows, str_t name, int64_t *last)
{
    for (size_t row = 0; row < rows->row_count; row++) {
        if (str_eq(db_value(rows, row, 0), name))
            return str_to_int64(db_value(rows, row, 1), last);
    }
    return false;
}

static void tell_missed(const schedule_t *schedule, const due_t *due, bool is_running)
{
    observe(LOG_WARN, "schedule_missed", F_CSTR("name", schedule->name), F_INT("count", due->missed_count),
            F_INT("first", due->missed_first), F_INT("last", due->missed_last),
            F_CSTR("reason", is_running ? "overrun" : "not_started"));
}

/* One column for each schedule: whether what it needs is there. */
static err_t *read_needs(pass_t *pass, db_rows_t *rows)
{
    buf_t sql;
    buf_init(&sql, pass->pool, 1024);
    buf_append_lit(&sql, "select true");
    for (size_t i = 0; SCHEDULES[i].name != NULL; i++)
        buf_printf(&sql, ", coalesce(%s, false)", SCHEDULES[i].needs != NULL ? SCHEDULES[i].needs : "true");
    return db_session_query(pass->session, buf_str(&sql), NULL, 0, rows);
}

/* The null string when it is not scheduled. The service role reads what users may set. */
static err_t *read_pattern(pass_t *pass, const schedule_t *schedule, str_t *pattern)
{
    db_rows_t rows = {0};
    *pattern = str_from_c(schedule->pattern);
    if (schedule->pattern_sql == NULL)
        return NULL;
    err_t *err = db_session_query(pass->session, STR("select set_config('role', 'service_role', true)"), NULL,
                                  0, NULL);
    if (err == NULL)
        err = db_session_query(pass->session, str_from_c(schedule->pattern_sql), NULL, 0, &rows);
    if (err == NULL && rows.row_count > 0)
        *pattern = db_value(&rows, 0, 0);
    if (err == NULL)
        err = db_session_query(pass->session, STR("select set_config('role', 'none', true)"), NULL, 0, NULL);
    return err;
}

/* Switched off, or wrong: when it comes back it starts afresh. */
static err_t *forget(pass_t *pass, str_t name)
{
    return db_session_query(pass->session,
                            STR("delete from basalt.schedule_state where kind = 'gateway' and name = $1"),
                            DB_PARAMS(name), NULL);
}

/* All of ours may run late and twice without harm, so the latest missed occurrence is made up for. */
static err_t *look_at(pass_t *pass, size_t index, str_t pattern, const db_rows_t *rows)
{
    const schedule_t *schedule = &SCHEDULES[index];
    str_t name = str_from_c(schedule->name);
    due_moment_t moment = {
        .now = pass->now_ms / 1000, .is_running = pass->is_own_running[index], .is_catching_up = true};
    cron_t cron;
    bool is_known = find_last(rows, name, &moment.last);
    pass->is_own_scheduled[index] = !str_is_null(pattern);
    if (!cron_parse(pattern, &cron)) {
        if (is_known)
            observe(LOG_WARN, "schedule_off", F_CSTR("name", schedule->name), F_STR("pattern", pattern));
        return is_known ? forget(pass, name) : NULL;
    }
    if (!is_known)
        moment.last = moment.now;
    due_t due = due_judge(&cron, &moment);
    pass->next = due.next < pass->next ? due.next : pass->next;
    if (due.missed_count > 0)
        tell_missed(schedule, &due, moment.is_running);
    pass->is_own_due[index] = due.is_due;
    bool has_moved = !is_known || due.handled != moment.last;
    return has_moved ? pass_move(pass, STR("gateway"), name, due.handled) : NULL;
}

err_t *pass_own(pass_t *pass)
{
    db_rows_t rows = {0}, needs = {0};
    err_t *err = db_session_query(pass->session, str_from_c(STATE_SQL), NULL, 0, &rows);
    if (err == NULL)
        err = read_needs(pass, &needs);
    for (size_t i = 0; err == NULL && SCHEDULES[i].name != NULL; i++) {
        str_t pattern = STR_NULL;
        if (schedule_is_present(&SCHEDULES[i]) && str_eq(db_value(&needs, 0, i + 1), STR("t")))
            err = read_pattern(pass, &SCHEDULES[i], &pattern);
        if (err == NULL)
            err = look_at(pass, i, pattern, &rows);
    }
    return err;
}
