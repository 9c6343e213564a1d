/* What code of one caller may have left on a connection must not reach the next one. */
#ifndef DB_WASH_H
#define DB_WASH_H

#include "base/buf.h"

/* Statements that wipe what functions may have left in a session: role, settings, locks, temporary tables,
 * sequences' last values, LISTEN. Run as one transaction; prepared statements stay. */
extern const char *const DB_WASH[];
extern const size_t DB_WASH_COUNT;

/* Of one connection. All zero: nobody was there. */
typedef struct {
    bool is_due; /* somebody may have left something since the last wash */
    buf_t
        caller; /* who, role and claims: compared as they are, since callers choose what is in their claims */
    size_t role_len;
} db_wash_t;

/* True when the connection must be washed before this caller's transaction, which the caller of this function
 * then does. `may_leave`: the transaction itself may leave something. */
bool db_wash_before(db_wash_t *wash, str_t role, str_t claims, bool may_leave);
void db_wash_dispose(db_wash_t *wash);

#endif
