#include "rest/turns.h"

#include <stdlib.h>

enum {
    COUNTED_FROM = 64 * 1024,
    ROOM = 256 * 1024, /* what one that goes on will soon have more */
    OLDEST = 2,        /* never wait: a loop keeps hardly more backends busy */
    PATIENCE_MS = 1000
};

struct rest_turns {
    loop_t *loop;
    rest_turn_t *first, *last;
    size_t bytes, max;
};

rest_turns_t *rest_turns_create(loop_t *loop)
{
    rest_turns_t *turns = calloc(1, sizeof(*turns));
    if (turns == NULL)
        abort();
    turns->loop = loop;
    return turns;
}

void rest_turns_destroy(rest_turns_t *turns)
{
    free(turns);
}

static void go_on(rest_turn_t *turn)
{
    loop_timer_stop(&turn->patience);
    turn->is_waiting = false;
    turn->wait(turn->arg, false);
}

static void on_impatience(void *arg)
{
    rest_turn_t *turn = arg;
    turn->is_impatient = true;
    go_on(turn);
}

static bool is_old(const rest_turn_t *turn)
{
    for (int i = 0; i < OLDEST && turn != NULL; i++)
        turn = turn->prev;
    return turn == NULL;
}

static void join(rest_turns_t *turns, rest_turn_t *turn)
{
    turn->turns = turns;
    turn->next = NULL;
    turn->prev = turns->last;
    if (turns->last != NULL)
        turns->last->next = turn;
    else
        turns->first = turn;
    turns->last = turn;
}

void rest_turn_keeps(rest_turns_t *turns, rest_turn_t *turn, size_t bytes, size_t max)
{
    if (turn->turns == NULL && bytes < COUNTED_FROM)
        return;
    if (turn->turns == NULL)
        join(turns, turn);
    turns->bytes += bytes - turn->bytes;
    turns->max = max;
    turn->bytes = bytes;
    if (turns->bytes <= max || is_old(turn) || turn->is_waiting || turn->is_impatient ||
        !turn->wait(turn->arg, true))
        return;
    turn->is_waiting = true;
    loop_timer_start(turns->loop, &turn->patience, PATIENCE_MS, on_impatience, turn);
}

void rest_turn_ends(rest_turn_t *turn)
{
    rest_turns_t *turns = turn->turns;
    if (turns == NULL)
        return;
    loop_timer_stop(&turn->patience);
    *(turn->prev != NULL ? &turn->prev->next : &turns->first) = turn->next;
    *(turn->next != NULL ? &turn->next->prev : &turns->last) = turn->prev;
    turn->turns = NULL;
    turns->bytes -= turn->bytes;
    turn->bytes = 0;
    size_t expected = turns->bytes;
    for (rest_turn_t *other = turns->first; other != NULL; other = other->next) {
        if (!other->is_waiting)
            continue;
        expected += ROOM;
        if (is_old(other) || expected <= turns->max)
            go_on(other);
    }
}
