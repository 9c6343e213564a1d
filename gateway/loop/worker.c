#include "loop/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define QUEUE_DEFAULT 1000

typedef struct task {
    struct task *next;
    loop_t *loop;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
} task_t;

struct worker_pool {
    char name[16];
    pthread_mutex_t lock;
    pthread_cond_t has_work;
    task_t *head, **tail;
    size_t waiting, queue_max;
    bool is_stopping;
    size_t thread_count;
    pthread_t threads[];
};

static void *checked(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* Waits for a task; NULL when the pool stops. */
static task_t *next_task(worker_pool_t *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->head == NULL && !pool->is_stopping)
        pthread_cond_wait(&pool->has_work, &pool->lock);
    task_t *task = pool->is_stopping ? NULL : pool->head;
    if (task != NULL) {
        pool->head = task->next;
        if (pool->head == NULL)
            pool->tail = &pool->head;
        pool->waiting--;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void *work(void *arg)
{
    worker_pool_t *pool = arg;
    task_t *task;
    while ((task = next_task(pool)) != NULL) {
        task->run(task->arg);
        if (task->done != NULL)
            loop_post(task->loop, task->done, task->arg);
        free(task);
    }
    return NULL;
}

worker_pool_t *worker_pool_create(const char *name, size_t threads, size_t queue_max)
{
    worker_pool_t *pool = checked(calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0])));
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    pool->queue_max = queue_max != 0 ? queue_max : QUEUE_DEFAULT;
    pool->tail = &pool->head;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* inherited by the workers */
    for (size_t i = 0; i < threads; i++) {
        if (pthread_create(&pool->threads[i], NULL, work, pool) != 0)
            abort();
        pthread_setname_np(pool->threads[i], pool->name);
        pool->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool;
}

void worker_pool_destroy(worker_pool_t *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    while (pool->head != NULL) {
        task_t *task = pool->head;
        pool->head = task->next;
        free(task);
    }
    pthread_cond_destroy(&pool->has_work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

bool worker_submit(worker_pool_t *pool, loop_t *loop, void (*run)(void *arg), void (*done)(void *arg),
                   void *arg)
{
    if (pool == NULL)
        return false;
    pthread_mutex_lock(&pool->lock);
    bool has_room = pool->waiting < pool->queue_max && !pool->is_stopping;
    if (has_room) {
        task_t *task = checked(malloc(sizeof(*task)));
        *task = (task_t){.loop = loop, .run = run, .done = done, .arg = arg};
        *pool->tail = task;
        pool->tail = &task->next;
        pool->waiting++;
        pthread_cond_signal(&pool->has_work);
    }
    pthread_mutex_unlock(&pool->lock);
    return has_room;
}

size_t worker_waiting(const worker_pool_t *pool)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&pool->lock;
    pthread_mutex_lock(lock);
    size_t waiting = pool->waiting;
    pthread_mutex_unlock(lock);
    return waiting;
}
