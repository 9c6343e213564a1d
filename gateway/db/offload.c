#include "db/offload.h"

#include "base/observe.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static _Atomic int running;

struct offload {
    loop_t *loop;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards is_abandoned and the moment of posting */
    bool is_abandoned;
};

static void offload_free(offload_t *offload)
{
    pthread_mutex_destroy(&offload->lock);
    free(offload);
}

static void on_finished(void *arg)
{
    offload_t *offload = arg;
    /* All that is left to it is its end; a process that ended before would take libraries from under it. */
    if (offload->has_thread)
        pthread_join(offload->thread, NULL);
    void (*end)(void *) = offload->is_abandoned ? offload->drop : offload->done;
    void *end_arg = offload->arg;
    offload_free(offload);
    end(end_arg);
}

static void post_or_drop(offload_t *offload)
{
    pthread_mutex_lock(&offload->lock);
    bool is_abandoned = offload->is_abandoned;
    if (!is_abandoned) {
        loop_post(offload->loop, on_finished, offload);
    }
    pthread_mutex_unlock(&offload->lock);
    if (is_abandoned) {
        if (offload->has_thread)
            pthread_detach(offload->thread);
        offload->drop(offload->arg);
        offload_free(offload);
    }
}

static void *thread_main(void *arg)
{
    offload_t *offload = arg;
    offload->run(offload->arg);
    post_or_drop(offload);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static bool start_thread(offload_t *offload)
{
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 512 * 1024);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add(&running, 1);
    pthread_mutex_lock(&offload->lock); /* it looks at its own handle */
    offload->has_thread = pthread_create(&offload->thread, &attr, thread_main, offload) == 0;
    pthread_mutex_unlock(&offload->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (!offload->has_thread)
        atomic_fetch_sub(&running, 1);
    return offload->has_thread;
}

offload_t *offload_start(loop_t *loop, void (*run)(void *arg), void (*done)(void *arg),
                         void (*drop)(void *arg), void *arg)
{
    offload_t *offload = calloc(1, sizeof(*offload));
    if (offload == NULL)
        abort();
    *offload = (offload_t){.loop = loop, .run = run, .done = done, .drop = drop, .arg = arg};
    pthread_mutex_init(&offload->lock, NULL);
    if (!start_thread(offload)) {
        observe(LOG_ERROR, "db_thread_failed", F_INT("errors", 1));
        post_or_drop(offload);
    }
    return offload;
}

bool offload_await(int timeout_ms)
{
    static const struct timespec PAUSE = {.tv_nsec = 1000000};
    for (int i = 0; i < timeout_ms && atomic_load(&running) > 0; i++)
        nanosleep(&PAUSE, NULL);
    return atomic_load(&running) == 0;
}

void offload_abandon(offload_t *offload)
{
    pthread_mutex_lock(&offload->lock);
    offload->is_abandoned = true;
    pthread_mutex_unlock(&offload->lock);
}
