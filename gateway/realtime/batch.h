/* One page of changes on its way to the sockets: tables looked up, judged, sent. Shared by batch.c (the way),
 * trial.c (asking the database) and send.c (frames). */
#ifndef REALTIME_BATCH_H
#define REALTIME_BATCH_H

#include "realtime/inside.h"
#include "realtime/judge.h"

typedef struct rt_batch rt_batch_t;

/* A table as one role sees it, with the changes on it and what the database said of them. */
typedef struct {
    rt_batch_t *batch;
    uint32_t relid;
    str_t role;
    rt_table_t *table; /* counted; NULL: gone */
    size_t *changes;   /* indices into the batch */
    size_t change_count;
    map_t *filter_at; /* text -> filter_t */
    const rt_filter_t **filters;
    size_t filter_count;
    bool *filter_says;     /* [filter * change_count + change] */
    map_t *viewer_at;      /* key -> index + 1 */
    rt_viewer_t **viewers; /* counted */
    size_t viewer_count;
    bool *viewer_sees; /* [viewer * change_count + change] */
} rt_judged_t;

/* A transaction under way, in the struct that its callbacks get. */
typedef struct rt_asking {
    struct rt_asking *next;
    db_tx_t *tx; /* NULL: over */
} rt_asking_t;

struct rt_batch {
    rt_t *rt;
    pool_t *pool;
    rt_change_t *changes;
    size_t count;
    rt_judged_t *judged;
    size_t judged_count;
    rt_asking_t *asking;             /* all that were ever asked */
    size_t pending;                  /* transactions under way, and one while they are being submitted */
    bool is_failed;                  /* the database could not be asked */
    void (*next)(rt_batch_t *batch); /* when pending becomes 0 */
    void (*done)(void *arg);
    void *arg;
};

/* Submits, counted as pending; the callbacks end with rt_batch_answered. */
void rt_batch_ask(rt_batch_t *batch, rt_asking_t *asking, db_pool_t *pool, const db_tx_spec_t *spec,
                  const db_tx_handlers_t *handlers, void *arg);
void rt_batch_answered(rt_batch_t *batch, rt_asking_t *asking);

/* Submits everything that has to be asked; answers go into the judged tables. */
void rt_trial_submit_all(rt_batch_t *batch);

/* Sends the judged changes. */
void rt_batch_send(rt_batch_t *batch);

#endif
