#include "base/clock.h"
#include "loop/loop.h"
#include "loop/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    loop_t *loop;
    int order[16];
    size_t count;
    loop_timer_t timers[8];
    loop_timer_t again;
    int again_left;
} timers_t;

typedef struct {
    timers_t *timers;
    int id;
} labelled_t;

static void note(void *arg)
{
    labelled_t *l = arg;
    l->timers->order[l->timers->count++] = l->id;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void timers_run_by_time_then_by_start(void **state)
{
    (void)state;
    timers_t t = {.loop = loop_create()};
    labelled_t labels[6];
    const int delays[6] = {300, 100, 200, 100, 0, 250};
    for (int i = 0; i < 6; i++) {
        labels[i] = (labelled_t){&t, i};
        loop_timer_start(t.loop, &t.timers[i], delays[i], note, &labels[i]);
    }
    loop_timer_stop(&t.timers[5]);
    loop_timer_stop(&t.timers[5]);
    assert_false(loop_timer_is_running(&t.timers[5]));
    assert_true(loop_timer_is_running(&t.timers[0]));
    loop_timer_start(t.loop, &t.timers[6], 600, stop, t.loop);
    int64_t from = clock_mono_us();
    loop_run(t.loop);
    assert_true(clock_mono_us() - from >= 600000);
    assert_int_equal(t.count, 5);
    const int expected[5] = {4, 1, 3, 2, 0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(t.order[i], expected[i]);
    loop_destroy(t.loop);
}

static void restart(void *arg)
{
    timers_t *t = arg;
    if (--t->again_left > 0)
        loop_timer_start(t->loop, &t->again, 0, restart, t);
    else
        loop_stop(t->loop);
}

static void a_timer_may_restart_itself_without_starving_the_turn(void **state)
{
    (void)state;
    timers_t t = {.loop = loop_create(), .again_left = 3};
    loop_timer_start(t.loop, &t.again, 0, restart, &t);
    loop_turn(t.loop, 1000);
    assert_int_equal(t.again_left, 2);
    loop_run(t.loop);
    assert_int_equal(t.again_left, 0);
    loop_destroy(t.loop);
}

static void many_timers_keep_their_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static loop_timer_t timers[COUNT];
    loop_t *loop = loop_create();
    uint32_t seed = 12345;
    for (int i = 0; i < COUNT; i++) {
        seed = seed * 1664525 + 1013904223;
        loop_timer_start(loop, &timers[i], seed % 50, note, NULL);
    }
    for (int i = 0; i < COUNT; i++)
        loop_timer_stop(&timers[(i * 7) % COUNT]);
    for (int i = 0; i < COUNT; i++)
        assert_false(loop_timer_is_running(&timers[i]));
    loop_destroy(loop);
}

enum { POSTERS = 4, POSTS = 2000 };

typedef struct {
    loop_t *loop;
    int last[POSTERS];
    int total;
    bool is_ordered;
} posts_t;

typedef struct {
    posts_t *posts;
    int thread, number;
} posted_t;

static posted_t posted[POSTERS][POSTS];

static void on_posted(void *arg)
{
    posted_t *p = arg;
    if (p->number != p->posts->last[p->thread] + 1)
        p->posts->is_ordered = false;
    p->posts->last[p->thread] = p->number;
    if (++p->posts->total == POSTERS * POSTS)
        loop_stop(p->posts->loop);
}

static void *post_all(void *arg)
{
    posted_t *first = arg;
    for (int i = 0; i < POSTS; i++)
        loop_post(first->posts->loop, on_posted, &first[i]);
    return NULL;
}

static void posts_of_a_thread_arrive_all_and_in_order(void **state)
{
    (void)state;
    posts_t posts = {.loop = loop_create(), .is_ordered = true};
    pthread_t threads[POSTERS];
    for (int t = 0; t < POSTERS; t++) {
        posts.last[t] = -1;
        for (int i = 0; i < POSTS; i++)
            posted[t][i] = (posted_t){&posts, t, i};
        pthread_create(&threads[t], NULL, post_all, posted[t]);
    }
    loop_run(posts.loop);
    for (int t = 0; t < POSTERS; t++)
        pthread_join(threads[t], NULL);
    assert_true(posts.is_ordered);
    assert_int_equal(posts.total, POSTERS * POSTS);
    loop_destroy(posts.loop);
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

static void what_is_posted_last_is_run_by_destroy(void **state)
{
    (void)state;
    bool was_run = false;
    loop_t *loop = loop_create();
    loop_post(loop, set_true, &was_run);
    loop_destroy(loop);
    assert_true(was_run);
}

static loop_t *signalled_loop;

static void on_alarm(int number)
{
    (void)number;
    loop_stop(signalled_loop);
}

static void a_signal_handler_may_stop_the_loop(void **state)
{
    (void)state;
    signalled_loop = loop_create();
    signal(SIGALRM, on_alarm);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    loop_run(signalled_loop);
    loop_stop(signalled_loop);
    loop_run(signalled_loop); /* a stop before the start counts */
    loop_destroy(signalled_loop);
}

typedef struct {
    loop_t *loop;
    loop_watch_t *watch;
    int fd;
    int reads, writes;
    size_t bytes;
} pipe_end_t;

static void on_readable(void *arg)
{
    pipe_end_t *end = arg;
    char bytes[4];
    ssize_t len = read(end->fd, bytes, sizeof(bytes));
    end->reads++;
    if (len > 0) {
        end->bytes += (size_t)len;
        return;
    }
    loop_watch_destroy(end->watch); /* from its own callback */
    end->watch = NULL;
    loop_stop(end->loop);
}

static void on_writable(void *arg)
{
    ((pipe_end_t *)arg)->writes++;
}

static void a_watch_is_level_triggered_and_leaves_the_descriptor_open(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pipe_end_t end = {.loop = loop_create(), .fd = fds[0]};
    end.watch = loop_watch_create(end.loop, fds[0], on_readable, on_writable, &end);
    assert_int_equal(write(fds[1], "0123456789", 10), 10);
    loop_turn(end.loop, 0);
    assert_int_equal(end.reads, 0); /* not wanted yet */
    loop_watch_want_write(end.watch);
    loop_watch_want_write(end.watch);
    loop_watch_want_read(end.watch, true);
    for (int i = 0; i < 5; i++)
        loop_turn(end.loop, 0);
    assert_int_equal(end.bytes, 10);
    assert_int_equal(end.writes, 1); /* one-shot */
    loop_watch_want_read(end.watch, false);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_turn(end.loop, 0);
    assert_int_equal(end.bytes, 10);
    loop_watch_want_read(end.watch, true);
    close(fds[1]);
    loop_run(end.loop);
    assert_int_equal(end.bytes, 11);
    assert_null(end.watch);
    assert_int_equal(close(fds[0]), 0);
    loop_destroy(end.loop);
}

typedef struct {
    loop_t *loop;
    loop_timer_t guard;
    int pending, turns;
} batch_t;

static void flush(void *arg)
{
    batch_t *batch = arg;
    batch->turns++;
    if (batch->pending == 0)
        return;
    if (--batch->pending == 0)
        loop_stop(batch->loop);
    else
        loop_want_turn(batch->loop);
}

static void wanted_turns_come_without_sleeping(void **state)
{
    (void)state;
    batch_t batch = {.loop = loop_create(), .pending = 5};
    loop_on_turn_end(batch.loop, flush, &batch);
    loop_timer_start(batch.loop, &batch.guard, 60000, stop, batch.loop);
    loop_want_turn(batch.loop);
    loop_run(batch.loop);
    assert_int_equal(batch.pending, 0);
    assert_int_equal(batch.turns, 5);
    loop_timer_stop(&batch.guard);
    loop_destroy(batch.loop);
}

typedef struct {
    loop_t *loop;
    pthread_t loop_thread;
    atomic_int running, done;
    atomic_bool may_end;
    bool was_done_elsewhere;
} work_t;

static void run_work(void *arg)
{
    work_t *w = arg;
    atomic_fetch_add(&w->running, 1);
    while (!atomic_load(&w->may_end))
        usleep(1000);
}

static void on_done(void *arg)
{
    work_t *w = arg;
    if (!pthread_equal(pthread_self(), w->loop_thread))
        w->was_done_elsewhere = true;
    if (atomic_fetch_add(&w->done, 1) + 1 == 5)
        loop_stop(w->loop);
}

static void the_worker_queue_is_bounded_and_completes_on_the_loop(void **state)
{
    (void)state;
    work_t w = {.loop = loop_create(), .loop_thread = pthread_self()};
    worker_pool_t *pool = worker_pool_create("test", 2, 3);
    for (int i = 0; i < 2; i++)
        assert_true(worker_submit(pool, w.loop, run_work, on_done, &w));
    while (atomic_load(&w.running) < 2)
        usleep(1000);
    for (int i = 0; i < 3; i++)
        assert_true(worker_submit(pool, w.loop, run_work, on_done, &w));
    assert_int_equal(worker_waiting(pool), 3);
    assert_false(worker_submit(pool, w.loop, run_work, on_done, &w));
    atomic_store(&w.may_end, true);
    loop_run(w.loop);
    assert_int_equal(w.done, 5);
    assert_int_equal(worker_waiting(pool), 0);
    assert_false(w.was_done_elsewhere);
    worker_pool_destroy(pool);
    loop_destroy(w.loop);
}

static void destroying_the_workers_drops_what_waits(void **state)
{
    (void)state;
    work_t w = {.loop = loop_create(), .loop_thread = pthread_self()};
    worker_pool_t *pool = worker_pool_create("test", 1, 10);
    for (int i = 0; i < 4; i++)
        assert_true(worker_submit(pool, w.loop, run_work, on_done, &w));
    while (atomic_load(&w.running) < 1)
        usleep(1000);
    atomic_store(&w.may_end, true);
    worker_pool_destroy(pool);
    int finished = atomic_load(&w.running);
    loop_destroy(w.loop);
    assert_int_equal(w.done, finished); /* each that ran is told, no other */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_run_by_time_then_by_start),
        cmocka_unit_test(a_timer_may_restart_itself_without_starving_the_turn),
        cmocka_unit_test(many_timers_keep_their_order),
        cmocka_unit_test(posts_of_a_thread_arrive_all_and_in_order),
        cmocka_unit_test(what_is_posted_last_is_run_by_destroy),
        cmocka_unit_test(a_signal_handler_may_stop_the_loop),
        cmocka_unit_test(a_watch_is_level_triggered_and_leaves_the_descriptor_open),
        cmocka_unit_test(wanted_turns_come_without_sleeping),
        cmocka_unit_test(the_worker_queue_is_bounded_and_completes_on_the_loop),
        cmocka_unit_test(destroying_the_workers_drops_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
