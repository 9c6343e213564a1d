/* Large answers that are being gathered take turns. Ten backends that send at once are ten answers kept at
 * once, and none of them is ready sooner for it: while together they are too much, all but the two oldest
 * wait, each for a second at most (what they wait for might wait for a lock that they hold). What waits is
 * not read from the database, which then stops by itself. Loop thread only. */
#ifndef REST_TURNS_H
#define REST_TURNS_H

#include "loop/loop.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct rest_turns rest_turns_t;

/* One answer; zero but for the callback. */
typedef struct rest_turn {
    struct rest_turn *prev, *next;
    rest_turns_t *turns; /* NULL: too small to count, or not gathered any more */
    size_t bytes;
    bool is_waiting, is_impatient;
    loop_timer_t patience;
    bool (*wait)(void *arg, bool is_waiting); /* false: it cannot */
    void *arg;
} rest_turn_t;

rest_turns_t *rest_turns_create(loop_t *loop);
void rest_turns_destroy(rest_turns_t *turns); /* after the last one left */

/* `turn` keeps `bytes` now; all together should not keep more than `max`. */
void rest_turn_keeps(rest_turns_t *turns, rest_turn_t *turn, size_t bytes, size_t max);
/* It is complete, streamed or given up: others may go on. */
void rest_turn_ends(rest_turn_t *turn);

#endif
