/* What an inventory sync did: counts, and an error for each item that could not be taken. */
#ifndef FUNCTIONS_SYNC_SUMMARY_H
#define FUNCTIONS_SYNC_SUMMARY_H

#include "functions/fn.h"

#define SYNC_TOTAL_HIDDEN (-1) /* as total: not shown */

typedef struct {
    int64_t total, added, updated, linked, failed;
    json_t *errors; /* array of strings, owned by the task's pool */
} sync_summary_t;

void sync_summary_init(api_task_t *task, sync_summary_t *summary, int64_t total);
void sync_summary_fail(api_task_t *task, sync_summary_t *summary, str_t item, str_t why);
/* {"success":true,"summary":{..},"errors":[..],"timestamp":..}; without errors the member is left out when
 * `hides_empty`. */
void sync_summary_reply(api_task_t *task, const sync_summary_t *summary, bool hides_empty);

/* Runs one item's statement behind a savepoint, so that a bad one costs the others nothing. NULL: taken. */
err_t *sync_try(db_session_t *session, str_t sql, const str_t *params, size_t param_count,
                db_rows_t *rows) MUST_CHECK;

/* Member of an item as text, numbers included; the null string when absent, null or empty. */
str_t sync_text(api_task_t *task, const json_t *item, const char *key);

#endif
