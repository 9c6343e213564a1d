/* Tables on their way into the feed: triggers installed, row announced, lock held; and out of it again. */
#include "base/clock.h"
#include "base/observe.h"
#include "realtime/feed.h"

#include <stdio.h>
#include <stdlib.h>

enum { RETRY_FIRST_MS = 5, RETRY_MAX_MS = 500 };

static const char INSTALL_SQL[] = "select basalt.feed_install($1::oid)";
static const char ARM_SQL[] = "select basalt.feed_arm($1::oid, $2::uuid, $3::int)";
static const char HOLD_SQL[] = "select basalt.feed_hold($1::oid)";
static const char DISARM_SQL[] = "select basalt.feed_disarm($1::oid, $2::uuid)";

static rt_root_t *find(const rt_feed_t *feed, uint32_t relid)
{
    for (rt_root_t *root = feed->roots; root != NULL; root = root->next) {
        if (root->relid == relid)
            return root;
    }
    return NULL;
}

void rt_feed_want(rt_feed_t *feed, uint32_t relid)
{
    rt_root_t *root = find(feed, relid);
    if (root == NULL) {
        root = calloc(1, sizeof(*root));
        if (root == NULL)
            abort();
        root->relid = relid;
        root->retry_ms = RETRY_FIRST_MS;
        root->next = feed->roots;
        feed->roots = root;
    }
    root->refs++;
}

void rt_feed_unwant(rt_feed_t *feed, uint32_t relid)
{
    rt_root_t *root = find(feed, relid);
    if (root != NULL && --root->refs == 0)
        root->unused_since_us = clock_mono_us();
}

bool rt_feed_holds(const rt_feed_t *feed, uint32_t relid)
{
    const rt_root_t *root = find(feed, relid);
    return root != NULL && root->state == ROOT_HELD;
}

void feed_root_forget(rt_feed_t *feed)
{
    for (rt_root_t *root = feed->roots; root != NULL; root = root->next) {
        root->state = ROOT_NEW;
        root->retry_us = 0;
    }
}

bool feed_root_lapsed(const rt_feed_t *feed, int64_t now)
{
    for (const rt_root_t *root = feed->roots; root != NULL; root = root->next) {
        if (root->armed_us != 0 && now - root->armed_us > FEED_ARMED_SECONDS * INT64_C(1000000))
            return true;
    }
    return false;
}

static void retry_later(rt_root_t *root)
{
    root->retry_us = clock_mono_us() + root->retry_ms * INT64_C(1000);
    root->retry_ms = root->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : root->retry_ms * 2;
}

static void advance(rt_root_t *root, root_state_t state)
{
    root->state = state;
    root->retry_us = 0;
    root->retry_ms = RETRY_FIRST_MS;
}

static bool says_true(const PGresult *result)
{
    return PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
           PQgetvalue(result, 0, 0)[0] == 't';
}

static void on_installed(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    rt_root_t *root = feed->busy_root;
    feed->busy_root = NULL;
    if (says_true(result)) {
        advance(root, ROOT_INSTALLED);
    } else {
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
            observe(LOG_WARN, "realtime_install_waits", F_INT("table", root->relid),
                    F_CSTR("reason", PQresultErrorMessage(result)));
        root->retry_ms = RETRY_MAX_MS;
        retry_later(root);
    }
    feed_step(feed);
}

static void on_armed(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    rt_root_t *root = feed->busy_root;
    feed->busy_root = NULL;
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        retry_later(root);
    } else {
        root->armed_us = clock_mono_us();
        if (root->state == ROOT_INSTALLED)
            advance(root, ROOT_ANNOUNCED);
    }
    feed_step(feed);
}

static void on_held(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    rt_root_t *root = feed->busy_root;
    feed->busy_root = NULL;
    if (says_true(result)) {
        advance(root, ROOT_HELD);
        feed->read_due_us = 0;
        rt_changes_advance(feed->rt, feed->reads_begun, feed->reads_done);
    } else {
        retry_later(root); /* a writer that skipped the capture is still open */
    }
    feed_step(feed);
}

static void on_disarmed(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    rt_root_t *gone = feed->busy_root;
    feed->busy_root = NULL;
    (void)result;
    if (gone->refs > 0) {
        advance(gone, ROOT_NEW); /* wanted again meanwhile */
        gone->armed_us = 0;
    } else {
        for (rt_root_t **link = &feed->roots; *link != NULL; link = &(*link)->next) {
            if (*link == gone) {
                *link = gone->next;
                free(gone);
                break;
            }
        }
    }
    feed_step(feed);
}

static void run(rt_feed_t *feed, rt_root_t *root, const char *sql, int count,
                void (*done)(void *arg, const PGresult *result))
{
    char relid[16], seconds[16];
    snprintf(relid, sizeof(relid), "%u", root->relid);
    snprintf(seconds, sizeof(seconds), "%d", FEED_ARMED_SECONDS);
    const char *params[] = {relid, feed->gateway_id, seconds};
    feed->busy_root = root;
    db_dedicated_run(feed->conn, sql, params, count, done);
}

/* When the table stops being watched; INT64_MAX while it is wanted. */
static int64_t disarm_due(const rt_feed_t *feed, const rt_root_t *root)
{
    if (root->refs > 0)
        return INT64_MAX;
    return root->unused_since_us +
           config_int(feed->rt->gateway->config, "BASALT_REALTIME_RESUME_WINDOW") * INT64_C(1000);
}

bool feed_root_step(rt_feed_t *feed, int64_t now)
{
    for (rt_root_t *root = feed->roots; root != NULL; root = root->next) {
        if (root->retry_us > now)
            continue;
        if (disarm_due(feed, root) <= now)
            run(feed, root, DISARM_SQL, 2, on_disarmed);
        else if (root->state == ROOT_NEW)
            run(feed, root, INSTALL_SQL, 1, on_installed);
        else if (root->state == ROOT_INSTALLED || now - root->armed_us > FEED_REARM_US)
            run(feed, root, ARM_SQL, 3, on_armed);
        else if (root->state == ROOT_ANNOUNCED)
            run(feed, root, HOLD_SQL, 1, on_held);
        else
            continue;
        return true;
    }
    return false;
}

int64_t feed_root_due(const rt_feed_t *feed)
{
    int64_t due = INT64_MAX;
    for (const rt_root_t *root = feed->roots; root != NULL; root = root->next) {
        int64_t next = root->state == ROOT_HELD ? root->armed_us + FEED_REARM_US : 0;
        next = root->retry_us > next ? root->retry_us : next;
        int64_t disarm = disarm_due(feed, root);
        next = disarm < next ? disarm : next;
        due = next < due ? next : due;
    }
    return due;
}
