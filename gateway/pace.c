#include "pace.h"

#include <sched.h>
#include <stdlib.h>

enum {
    TURNS = 256, /* between decisions */
    MANY = 4     /* transactions in flight */
};

struct pace {
    loop_t *loop;
    const db_pool_t *pool;
    int turns, crowded_turns;
    bool is_batch;
};

static void decide(pace_t *pace)
{
    bool wants_batch = pace->crowded_turns > (pace->is_batch ? TURNS / 4 : TURNS * 3 / 4);
    if (wants_batch != pace->is_batch &&
        sched_setscheduler(0, wants_batch ? SCHED_BATCH : SCHED_OTHER, &(struct sched_param){0}) == 0)
        pace->is_batch = wants_batch;
}

static void on_turn_end(void *arg)
{
    pace_t *pace = arg;
    pace->crowded_turns += db_pool_in_flight(pace->pool) >= MANY;
    if (++pace->turns < TURNS)
        return;
    decide(pace);
    pace->turns = pace->crowded_turns = 0;
}

pace_t *pace_create(loop_t *loop, const db_pool_t *pool)
{
    pace_t *pace = calloc(1, sizeof(*pace));
    if (pace == NULL)
        abort();
    *pace = (pace_t){.loop = loop, .pool = pool};
    if (sched_getscheduler(0) == SCHED_OTHER)
        loop_on_turn_end(loop, on_turn_end, pace);
    return pace;
}

void pace_destroy(pace_t *pace)
{
    if (pace == NULL)
        return;
    loop_off_turn_end(pace->loop, on_turn_end, pace);
    free(pace);
}
