/* One thread's event loop: watched descriptors, timers, and work posted from other threads.
 * Wraps libh2o's evloop (epoll); http/ shares the same loop through loop_native.h. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct loop loop_t;

loop_t *loop_create(void);

/* Runs what is still posted, then frees the loop. Watches must be destroyed and timers stopped before. */
void loop_destroy(loop_t *loop);

/* Runs until loop_stop, which any thread and any signal handler may call. A stop before the start counts. */
void loop_run(loop_t *loop);
void loop_stop(loop_t *loop);

/* One turn: waits at most `wait_ms` for something to do (0: not at all), does it. For tests and shutting
 * down. */
void loop_turn(loop_t *loop, int wait_ms);

/* Runs `fn(arg)` on the loop's thread soon, in posting order. Any thread. Never drops. */
void loop_post(loop_t *loop, void (*fn)(void *arg), void *arg);

/* Called once after every turn of the loop (batching writes). At most 8. Not from inside one. */
void loop_on_turn_end(loop_t *loop, void (*fn)(void *arg), void *arg);
void loop_off_turn_end(loop_t *loop, void (*fn)(void *arg), void *arg);

/* Asks that the loop does not sleep before the turn-end functions have run once more. To be called when work
 * is put aside for a turn-end function: it may have had its turn already. Loop thread only. */
void loop_want_turn(loop_t *loop);

/* One-shot timer, 1 ms resolution, monotonic, inside the caller's struct (zero-initialised before first use).
 * Timers that are due together run in order of their time, then of their start. */
typedef struct loop_timer {
    loop_t *loop; /* private from here on */
    size_t slot;  /* place in the loop's heap, 0: not running */
    int64_t due_us;
    uint64_t order;
    void (*fn)(void *arg);
    void *arg;
} loop_timer_t;

/* (Re)starts it; the callback may restart it. */
void loop_timer_start(loop_t *loop, loop_timer_t *timer, int64_t delay_ms, void (*fn)(void *arg), void *arg);
void loop_timer_stop(loop_timer_t *timer); /* harmless when not running */
bool loop_timer_is_running(const loop_timer_t *timer);

/* A descriptor owned by someone else (libpq's socket); the watch duplicates it. Level-triggered: on_read is
 * called every turn while there is something to read (or the peer is gone) and reading is wanted. */
typedef struct loop_watch loop_watch_t;
loop_watch_t *loop_watch_create(loop_t *loop, int fd, void (*on_read)(void *arg), void (*on_write)(void *arg),
                                void *arg);
void loop_watch_want_read(loop_watch_t *watch, bool want);
void loop_watch_want_write(loop_watch_t *watch); /* one-shot: on_write is called once when writable */
void loop_watch_destroy(loop_watch_t *watch);    /* may be called from its own callbacks; NULL is allowed */

#endif
