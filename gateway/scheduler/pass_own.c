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

/* All of ours may run late and twice without harm, so the latest missed occurrence is made up for. */
static err_t *look_at(pass_t *pass, size_t index, const db_rows_t *rows)
{
    const schedule_t *schedule = &SCHEDULES[index];
    str_t name = str_from_c(schedule->name);
    due_moment_t moment = {
        .now = pass->now_ms / 1000, .is_running = pass->is_own_running[index], .is_catching_up = true};
    cron_t cron;
    if (!cron_parse(str_from_c(schedule->pattern), &cron))
        return err_bug(pass->pool, "a schedule of our own has no valid pattern");
    bool is_known = find_last(rows, name, &moment.last);
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
    db_rows_t rows = {0};
    err_t *err = db_session_query(pass->session, str_from_c(STATE_SQL), NULL, 0, &rows);
    for (size_t i = 0; err == NULL && SCHEDULES[i].name != NULL; i++) {
        if (schedule_is_present(&SCHEDULES[i]))
            err = look_at(pass, i, &rows);
    }
    return err;
}
