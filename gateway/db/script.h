/* A text of one or more statements, run as somebody wrote it: by the simple protocol, outside of any
 * transaction of ours, on a connection of its own that is closed afterwards. For scheduled commands, which
 * may run for hours and hold VACUUM, COMMIT or SET. Loop thread only. */
#ifndef DB_SCRIPT_H
#define DB_SCRIPT_H

#include "base/str.h"
#include "loop/loop.h"

typedef struct db_script db_script_t;

typedef struct {
    str_t conninfo;
    str_t prologue; /* run first, with the rights of the login: SET ROLE, settings, locks. Must succeed */
    str_t sql;
    int timeout_ms; /* of `sql` as a whole: it is cancelled then; 0: none */
} db_script_spec_t;

typedef struct {
    bool is_good;
    str_t message;  /* what pg_cron writes: a command tag, "3 rows", or the error as psql shows it */
    str_t sqlstate; /* of a failure that the server reported, or the null string */
    int64_t elapsed_us;
} db_script_result_t;

/* The texts are copied. `done` is called once, later; its result is borrowed for the call and the handle is
 * invalid afterwards. Rows are counted and dropped as they come. */
db_script_t *db_script_start(loop_t *loop, const db_script_spec_t *spec,
                             void (*done)(void *arg, const db_script_result_t *result), void *arg);

/* Closes the connection; no `done`. A statement that is under way ends when the server notices
 * (client_connection_check_interval in the prologue). */
void db_script_abort(db_script_t *script);

#endif
