#include "rest/spares.h"

#include <stdlib.h>

enum { SPARES_MAX = 32, SMALL_BYTES = 64 * 1024, IDLE_MS = 1000 };
#define SPARE_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* A stack, so that what lies at its bottom is what is not needed. */
struct rest_spares {
    loop_t *loop;
    buf_t items[SPARES_MAX];
    size_t count, bytes;
    size_t count_min; /* since the last look */
    loop_timer_t timer;
};

rest_spares_t *rest_spares_create(loop_t *loop)
{
    rest_spares_t *spares = calloc(1, sizeof(*spares));
    if (spares == NULL)
        abort();
    spares->loop = loop;
    return spares;
}

void rest_spares_destroy(rest_spares_t *spares)
{
    loop_timer_stop(&spares->timer);
    for (size_t i = 0; i < spares->count; i++)
        buf_dispose(&spares->items[i]);
    free(spares);
}

size_t rest_spares_bytes(const rest_spares_t *spares)
{
    return spares->bytes;
}

buf_t rest_spares_take(rest_spares_t *spares)
{
    if (spares->count == 0)
        return (buf_t){0};
    buf_t body = spares->items[--spares->count];
    spares->bytes -= body.capacity;
    if (spares->count < spares->count_min)
        spares->count_min = spares->count;
    return body;
}

/* Large ones that nobody took since the last look. */
static void release_idle(void *arg)
{
    rest_spares_t *spares = arg;
    size_t kept = 0;
    bool has_large = false;
    for (size_t i = 0; i < spares->count; i++) {
        bool is_large = spares->items[i].capacity > SMALL_BYTES;
        if (is_large && i < spares->count_min) {
            spares->bytes -= spares->items[i].capacity;
            buf_dispose(&spares->items[i]);
            continue;
        }
        has_large = has_large || is_large;
        spares->items[kept++] = spares->items[i];
    }
    spares->count = spares->count_min = kept;
    if (has_large)
        loop_timer_start(spares->loop, &spares->timer, IDLE_MS, release_idle, spares);
}

void rest_spares_give(rest_spares_t *spares, buf_t *body)
{
    if (body->base == NULL || spares->count == SPARES_MAX ||
        spares->bytes + body->capacity > SPARE_BYTES_MAX) {
        buf_dispose(body);
        return;
    }
    spares->bytes += body->capacity;
    spares->items[spares->count++] = *body;
    if (body->capacity > SMALL_BYTES && !loop_timer_is_running(&spares->timer)) {
        spares->count_min = spares->count - 1; /* this one has just been used */
        loop_timer_start(spares->loop, &spares->timer, IDLE_MS, release_idle, spares);
    }
    *body = (buf_t){0};
}
