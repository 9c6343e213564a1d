#include "loop/loop.h"

#include "base/clock.h"
#include "base/observe.h"
#include "loop/loop_native.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TURN_END_MAX 8
#define WAIT_MAX_MS 60000

typedef struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
} post_t;

typedef struct {
    void (*fn)(void *arg);
    void *arg;
} turn_end_t;

struct loop {
    h2o_evloop_t *native;
    /* binary heap of timers, slots from 1 */
    loop_timer_t **timers;
    size_t timer_count, timer_capacity;
    uint64_t timer_order;
    turn_end_t turn_ends[TURN_END_MAX];
    size_t turn_end_count;
    bool is_turn_wanted;
    /* from other threads */
    int wake_fd;
    loop_watch_t *wake_watch;
    atomic_bool is_stopping;
    pthread_mutex_t post_lock;
    post_t *post_head, **post_tail;
};

struct loop_watch {
    h2o_socket_t *sock;
    void (*on_read)(void *arg);
    void (*on_write)(void *arg);
    void *arg;
};

h2o_loop_t *loop_native(loop_t *loop)
{
    return loop->native;
}

/* --- timers --- */

static bool is_before(const loop_timer_t *a, const loop_timer_t *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void place(loop_t *loop, size_t slot, loop_timer_t *timer)
{
    loop->timers[slot] = timer;
    timer->slot = slot;
}

static void sift_up(loop_t *loop, size_t slot, loop_timer_t *timer)
{
    while (slot > 1 && is_before(timer, loop->timers[slot / 2])) {
        place(loop, slot, loop->timers[slot / 2]);
        slot /= 2;
    }
    place(loop, slot, timer);
}

static void sift_down(loop_t *loop, size_t slot, loop_timer_t *timer)
{
    for (;;) {
        size_t child = slot * 2;
        if (child > loop->timer_count)
            break;
        if (child < loop->timer_count && is_before(loop->timers[child + 1], loop->timers[child]))
            child++;
        if (!is_before(loop->timers[child], timer))
            break;
        place(loop, slot, loop->timers[child]);
        slot = child;
    }
    place(loop, slot, timer);
}

void loop_timer_start(loop_t *loop, loop_timer_t *timer, int64_t delay_ms, void (*fn)(void *arg), void *arg)
{
    loop_timer_stop(timer);
    if (loop->timer_count + 2 > loop->timer_capacity) {
        size_t capacity = loop->timer_capacity != 0 ? loop->timer_capacity * 2 : 64;
        loop->timers = h2o_mem_realloc(loop->timers, capacity * sizeof(loop_timer_t *));
        loop->timer_capacity = capacity;
    }
    timer->loop = loop;
    timer->due_us = clock_mono_us() + (delay_ms > 0 ? delay_ms * 1000 : 0);
    timer->order = ++loop->timer_order;
    timer->fn = fn;
    timer->arg = arg;
    sift_up(loop, ++loop->timer_count, timer);
}

void loop_timer_stop(loop_timer_t *timer)
{
    if (timer->slot == 0)
        return;
    loop_t *loop = timer->loop;
    size_t slot = timer->slot;
    timer->slot = 0;
    loop_timer_t *last = loop->timers[loop->timer_count--];
    if (last == timer)
        return;
    if (slot > 1 && is_before(last, loop->timers[slot / 2]))
        sift_up(loop, slot, last);
    else
        sift_down(loop, slot, last);
}

bool loop_timer_is_running(const loop_timer_t *timer)
{
    return timer->slot != 0;
}

/* Timers that a callback starts wait for the next turn, however short they are. */
static void run_timers(loop_t *loop)
{
    if (loop->timer_count == 0)
        return;
    int64_t now = clock_mono_us();
    uint64_t newest = loop->timer_order;
    while (loop->timer_count != 0) {
        loop_timer_t *timer = loop->timers[1];
        if (timer->due_us > now || timer->order > newest)
            return;
        loop_timer_stop(timer);
        timer->fn(timer->arg);
    }
}

static int wait_for_timers(const loop_t *loop, int wait_ms)
{
    if (loop->timer_count == 0)
        return wait_ms;
    int64_t left_us = loop->timers[1]->due_us - clock_mono_us();
    if (left_us <= 0)
        return 0;
    int64_t left_ms = (left_us + 999) / 1000;
    return left_ms < wait_ms ? (int)left_ms : wait_ms;
}

/* --- posts and stop --- */

static void run_posts(loop_t *loop)
{
    pthread_mutex_lock(&loop->post_lock);
    post_t *post = loop->post_head;
    loop->post_head = NULL;
    loop->post_tail = &loop->post_head;
    pthread_mutex_unlock(&loop->post_lock);
    while (post != NULL) {
        post_t *next = post->next;
        post->fn(post->arg);
        free(post);
        post = next;
    }
}

static void on_wake(void *arg)
{
    loop_t *loop = arg;
    uint64_t count;
    while (read(loop->wake_fd, &count, sizeof(count)) > 0)
        ;
    run_posts(loop);
}

static void wake(loop_t *loop)
{
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void loop_post(loop_t *loop, void (*fn)(void *arg), void *arg)
{
    post_t *post = h2o_mem_alloc(sizeof(*post));
    *post = (post_t){.fn = fn, .arg = arg};
    pthread_mutex_lock(&loop->post_lock);
    bool is_first = loop->post_head == NULL;
    *loop->post_tail = post;
    loop->post_tail = &post->next;
    pthread_mutex_unlock(&loop->post_lock);
    if (is_first)
        wake(loop);
}

void loop_stop(loop_t *loop)
{
    int saved_errno = errno; /* signal handlers call this */
    atomic_store(&loop->is_stopping, true);
    wake(loop);
    errno = saved_errno;
}

/* --- turns --- */

void loop_on_turn_end(loop_t *loop, void (*fn)(void *arg), void *arg)
{
    if (loop->turn_end_count == TURN_END_MAX)
        h2o_fatal("too many turn-end functions");
    loop->turn_ends[loop->turn_end_count++] = (turn_end_t){fn, arg};
}

void loop_off_turn_end(loop_t *loop, void (*fn)(void *arg), void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < loop->turn_end_count; i++)
        if (loop->turn_ends[i].fn != fn || loop->turn_ends[i].arg != arg)
            loop->turn_ends[kept++] = loop->turn_ends[i];
    loop->turn_end_count = kept;
}

void loop_want_turn(loop_t *loop)
{
    loop->is_turn_wanted = true;
}

/* Completions that our own code caused after the native turn. They must not wait: the native loop frees
 * closed sockets before it looks at the pending ones, and would sleep although there are some. */
static void run_completions(loop_t *loop)
{
    if (loop->native->_pending_as_client == NULL && loop->native->_pending_as_server == NULL)
        return;
    loop->is_turn_wanted = true;
    h2o_timeout__do_post_callback(loop->native);
}

void loop_turn(loop_t *loop, int wait_ms)
{
    int wait = loop->is_turn_wanted ? 0 : wait_for_timers(loop, wait_ms);
    if (h2o_evloop_run(loop->native, wait) != 0 && errno != EINTR)
        observe(LOG_ERROR, "loop_poll_failed", F_CSTR("reason", strerror(errno)));
    run_timers(loop);
    run_completions(loop);
    loop->is_turn_wanted = false;
    for (size_t i = 0; i < loop->turn_end_count; i++)
        loop->turn_ends[i].fn(loop->turn_ends[i].arg);
    run_completions(loop);
}

void loop_run(loop_t *loop)
{
    while (!atomic_load(&loop->is_stopping))
        loop_turn(loop, WAIT_MAX_MS);
    atomic_store(&loop->is_stopping, false);
}

/* --- watches --- */

static void on_native_read(h2o_socket_t *sock, const char *err)
{
    (void)err; /* never set: the socket does not read */
    loop_watch_t *watch = sock->data;
    watch->on_read(watch->arg);
}

static void on_native_write(h2o_socket_t *sock, const char *err)
{
    (void)err; /* the owner learns it from its own write */
    loop_watch_t *watch = sock->data;
    watch->on_write(watch->arg);
}

loop_watch_t *loop_watch_create(loop_t *loop, int fd, void (*on_read)(void *arg), void (*on_write)(void *arg),
                                void *arg)
{
    int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own_fd < 0) {
        observe(LOG_ERROR, "loop_watch_failed", F_CSTR("reason", strerror(errno)));
        return NULL;
    }
    loop_watch_t *watch = h2o_mem_alloc(sizeof(*watch));
    *watch = (loop_watch_t){.on_read = on_read, .on_write = on_write, .arg = arg};
    watch->sock = h2o_evloop_socket_create(loop->native, own_fd, H2O_SOCKET_FLAG_DONT_READ);
    watch->sock->data = watch;
    return watch;
}

void loop_watch_want_read(loop_watch_t *watch, bool want)
{
    if (want)
        h2o_socket_read_start(watch->sock, on_native_read);
    else if (h2o_socket_is_reading(watch->sock))
        h2o_socket_read_stop(watch->sock);
}

void loop_watch_want_write(loop_watch_t *watch)
{
    if (!h2o_socket_is_writing(watch->sock))
        h2o_socket_notify_write(watch->sock, on_native_write);
}

void loop_watch_destroy(loop_watch_t *watch)
{
    if (watch == NULL)
        return;
    h2o_socket_close(watch->sock);
    free(watch);
}

/* --- life --- */

loop_t *loop_create(void)
{
    loop_t *loop = h2o_mem_alloc(sizeof(*loop));
    *loop = (loop_t){.native = h2o_evloop_create()};
    loop->post_tail = &loop->post_head;
    pthread_mutex_init(&loop->post_lock, NULL);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0)
        h2o_fatal("no eventfd");
    loop->wake_watch = loop_watch_create(loop, loop->wake_fd, on_wake, NULL, loop);
    if (loop->wake_watch == NULL)
        h2o_fatal("no descriptor for the loop");
    loop_watch_want_read(loop->wake_watch, true);
    return loop;
}

void loop_destroy(loop_t *loop)
{
    while (loop->post_head != NULL)
        run_posts(loop);
    loop_watch_destroy(loop->wake_watch);
    close(loop->wake_fd);
    h2o_evloop_destroy(loop->native);
    pthread_mutex_destroy(&loop->post_lock);
    free(loop->timers);
    free(loop);
}
