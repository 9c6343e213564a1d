/* The change feed: one dedicated connection that arms tables, reads the outbox and sleeps while nothing
 * happens.
 *
 *   DOWN -> GREETING -> READY           the connection
 *   PARKED                              no table is watched: nothing is read, nothing is held
 *
 * While READY the feed is awake (reads every few milliseconds; writers do not ring) or asleep (it holds the
 * bell, or another gateway does; writers ring). The protocol, and why no change is missed, is told in
 * docs/realtime.md. One statement runs at a time; feed_step decides which. */
#ifndef REALTIME_FEED_H
#define REALTIME_FEED_H

#include "db/dedicated.h"
#include "realtime/inside.h"

enum {
    FEED_AWAKE_MS = 5,         /* between reads while there is traffic */
    FEED_EMPTY_READS = 20,     /* in a row before sleep is tried */
    FEED_SAFETY_MS = 1000,     /* between reads while asleep: the holder of the bell may have died */
    FEED_BUSY_BELL_US = 20000, /* two bells within: not worth sleeping */
    FEED_ARMED_SECONDS = 120,  /* life of an armed row */
    FEED_REARM_US = 30000000,  /* between renewals */
    FEED_KEEP_US = 15000000,   /* read rows stay at least this long, for other gateways */
    FEED_STALL_US = 10000000,  /* a reader that was away longer asks whether it missed something */
    FEED_TIMEOUT_MS = 10000
};

typedef enum { FEED_DOWN, FEED_GREETING, FEED_PARKED, FEED_READY } feed_state_t;
typedef enum {
    FEED_AWAKE,
    FEED_DOZING_OFF, /* one more read, then asleep */
    FEED_ASLEEP
} feed_sleep_t;

/* The way of a table into the feed. */
typedef enum { ROOT_NEW, ROOT_INSTALLED, ROOT_ANNOUNCED, ROOT_HELD } root_state_t;

typedef struct rt_root {
    struct rt_root *next;
    uint32_t relid;
    size_t refs;
    root_state_t state;
    int64_t retry_us; /* not before */
    int retry_ms;
    int64_t unused_since_us; /* while refs is 0 */
    int64_t armed_us;        /* last renewal of the row; 0: never */
} rt_root_t;

struct rt_feed {
    rt_t *rt;
    db_dedicated_t *conn;
    char gateway_id[40];
    feed_state_t state;
    feed_sleep_t sleep;
    bool holds_bell, has_rung, must_read, must_wake;
    bool is_batch_running;
    bool has_listened, is_unusable;
    rt_root_t *roots, *busy_root;
    char *identity;   /* server and history that the cursor belongs to */
    char *cursor;     /* snapshot up to which everything was read */
    char *upper;      /* snapshot of the page being read; NULL: start a new one */
    char last[3][24]; /* key of the last row of the page: tail, ordinal, id */
    char *prunable;   /* an earlier cursor */
    int64_t prunable_us;
    uint64_t reads_begun, reads_done, rows_read;
    int empty_reads;
    int64_t read_due_us, last_read_us, last_bell_us;
    loop_timer_t tick;
};

void feed_step(rt_feed_t *feed);                    /* starts the next statement if there is one */
void feed_set_text(char **slot, const char *value); /* replaces owned text; NULL frees */

/* feed_root.c: true when a statement was started. */
bool feed_root_step(rt_feed_t *feed, int64_t now);
int64_t feed_root_due(const rt_feed_t *feed); /* when one could have to be; INT64_MAX: never */
void feed_root_forget(rt_feed_t *feed);       /* the session is gone */
bool feed_root_lapsed(const rt_feed_t *feed, int64_t now);

/* feed_read.c */
void feed_read(rt_feed_t *feed);
bool feed_prune_step(rt_feed_t *feed, int64_t now);

#endif
