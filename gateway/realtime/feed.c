#include "realtime/feed.h"

#include "base/clock.h"
#include "base/observe.h"
#include "base/rand.h"

#include <stdlib.h>

static const char LISTEN_SQL[] = "listen basalt_feed";
static const char SETTINGS_SQL[] =
    "select set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false), "
    "set_config('search_path', 'pg_catalog', false)";
static const char GREET_SQL[] = "select basalt.feed_identity(), pg_current_snapshot()::text, "
                                "coalesce(basalt.feed_contains($1::pg_snapshot, s.pruned), true) "
                                "from basalt.feed_state s";
/* Another gateway's hold counts as much as one's own: writers ring either way. */
static const char BELL_TRY_SQL[] =
    "select case when exists (select from pg_locks l where l.locktype = 'advisory' and l.classid = 7341000 "
    "and l.objid = 0 and l.objsubid = 2 and l.mode = 'ExclusiveLock' and l.granted and l.database = "
    "(select d.oid from pg_database d where d.datname = current_database())) then 'other' "
    "when pg_try_advisory_lock(7341000, 0) then 'own' else 'busy' end";
/* Whoever releases the bell wakes those who relied on it. */
static const char BELL_FREE_SQL[] = "select pg_advisory_unlock(7341000, 0), pg_notify('basalt_feed', '')";

static void greet(rt_feed_t *feed);

void feed_set_text(char **slot, const char *value)
{
    free(*slot);
    *slot = value != NULL ? strdup(value) : NULL;
}

static bool is_good(const PGresult *result)
{
    return PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK;
}

static void tick_in(rt_feed_t *feed, int64_t us);

static void on_tick(void *arg)
{
    rt_feed_t *feed = arg;
    if (feed->state == FEED_GREETING && db_dedicated_is_idle(feed->conn))
        greet(feed);
    else
        feed_step(feed);
}

static void tick_in(rt_feed_t *feed, int64_t us)
{
    loop_timer_start(feed->rt->gateway->loop, &feed->tick, us <= 0 ? 0 : (us + 999) / 1000, on_tick, feed);
}

/* --- greeting: who is the server, and is the cursor still good */

static void lose_place(rt_feed_t *feed, const char *why)
{
    observe(LOG_WARN, "realtime_gap", F_CSTR("why", why));
    rt_gap(feed->rt, 0, STR("Some changes were missed; subscribe again"));
}

static void on_greeted(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    if (!is_good(result) || PQntuples(result) != 1) {
        if (!feed->is_unusable)
            observe(LOG_WARN, "realtime_feed_unavailable", F_CSTR("reason", PQresultErrorMessage(result)));
        feed->is_unusable = true;
        tick_in(feed, FEED_STALL_US);
        return;
    }
    feed->is_unusable = false;
    const char *identity = PQgetvalue(result, 0, 0);
    const char *lost = NULL;
    if (feed->cursor != NULL) {
        lost = strcmp(identity, feed->identity) != 0     ? "the database is another one now"
               : PQgetvalue(result, 0, 2)[0] != 't'      ? "changes were pruned before they were read"
               : feed_root_lapsed(feed, clock_mono_us()) ? "the tables were not watched for a while"
                                                         : NULL;
    }
    if (feed->cursor == NULL || lost != NULL) {
        feed_set_text(&feed->cursor, PQgetvalue(result, 0, 1));
        feed_set_text(&feed->upper, NULL);
        feed_set_text(&feed->prunable, NULL);
    }
    feed_set_text(&feed->identity, identity);
    feed->state = FEED_READY;
    feed->last_read_us = clock_mono_us();
    feed->read_due_us = 0;
    feed->empty_reads = 0;
    if (lost != NULL)
        lose_place(feed, lost);
    feed_step(feed);
}

static void on_set_up(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    (void)result;
    feed->has_listened = true;
    greet(feed);
}

static void on_listening(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    (void)result;
    db_dedicated_run(feed->conn, SETTINGS_SQL, NULL, 0, on_set_up);
}

static void greet(rt_feed_t *feed)
{
    if (feed->roots == NULL) {
        feed->state = FEED_PARKED;
        return;
    }
    feed->state = FEED_GREETING;
    if (!feed->has_listened) {
        db_dedicated_run(feed->conn, LISTEN_SQL, NULL, 0, on_listening);
        return;
    }
    const char *params[] = {feed->cursor};
    db_dedicated_run(feed->conn, GREET_SQL, params, 1, on_greeted);
}

/* --- the connection */

static void on_up(void *arg)
{
    rt_feed_t *feed = arg;
    feed->has_listened = false;
    greet(feed);
}

static void on_lost(void *arg)
{
    rt_feed_t *feed = arg;
    feed->state = FEED_DOWN;
    feed->sleep = FEED_AWAKE;
    feed->holds_bell = feed->must_wake = false;
    feed_root_forget(feed);
}

static void on_notify(void *arg, bool is_own)
{
    rt_feed_t *feed = arg;
    if (is_own)
        return;
    int64_t now = clock_mono_us();
    if (feed->sleep != FEED_AWAKE && (!feed->holds_bell || now - feed->last_bell_us < FEED_BUSY_BELL_US))
        feed->must_wake = true;
    feed->last_bell_us = now;
    feed->has_rung = true;
    feed_step(feed);
}

/* --- sleeping and waking */

static void on_bell_tried(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    const char *answer = is_good(result) ? PQgetvalue(result, 0, 0) : "busy";
    feed->holds_bell = strcmp(answer, "own") == 0;
    if (strcmp(answer, "busy") == 0) {
        feed->empty_reads = 0; /* a writer relies on our being awake */
    } else {
        feed->sleep = FEED_DOZING_OFF;
        feed->must_wake = false;
        feed->must_read = true;
    }
    feed_step(feed);
}

static void on_bell_freed(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    (void)result;
    feed->holds_bell = false;
    feed_step(feed);
}

/* True when a statement was started. */
static bool wake(rt_feed_t *feed)
{
    feed->sleep = FEED_AWAKE;
    feed->must_wake = false;
    feed->empty_reads = 0;
    feed->read_due_us = 0;
    if (!feed->holds_bell)
        return false;
    db_dedicated_run(feed->conn, BELL_FREE_SQL, NULL, 0, on_bell_freed);
    return true;
}

static bool is_read_due(rt_feed_t *feed, int64_t now)
{
    return !feed->is_batch_running && (feed->must_read || feed->has_rung || now >= feed->read_due_us);
}

static void park(rt_feed_t *feed)
{
    feed->state = FEED_PARKED;
    feed->sleep = FEED_AWAKE;
    feed_set_text(&feed->cursor, NULL);
    feed_set_text(&feed->upper, NULL);
}

static void schedule(rt_feed_t *feed, int64_t now)
{
    int64_t due = feed_root_due(feed);
    if (!feed->is_batch_running && feed->read_due_us < due)
        due = feed->read_due_us;
    if (due != INT64_MAX)
        tick_in(feed, due - now);
}

void feed_step(rt_feed_t *feed)
{
    if (feed->state != FEED_READY || !db_dedicated_is_idle(feed->conn))
        return;
    int64_t now = clock_mono_us();
    if (feed->roots == NULL) {
        if (!feed->holds_bell || !wake(feed))
            park(feed);
        return;
    }
    /* Reads come first: what rang is waiting. Waking up is only for the sake of later writers. */
    if (is_read_due(feed, now)) {
        if (now - feed->last_read_us > FEED_STALL_US) {
            feed->last_read_us = now;
            greet(feed);
        } else {
            feed_read(feed);
        }
        return;
    }
    if (feed->must_wake && wake(feed))
        return;
    if (feed_root_step(feed, now) || feed_prune_step(feed, now))
        return;
    if (feed->sleep == FEED_AWAKE && !feed->is_batch_running && feed->empty_reads >= FEED_EMPTY_READS) {
        db_dedicated_run(feed->conn, BELL_TRY_SQL, NULL, 0, on_bell_tried);
        return;
    }
    schedule(feed, now);
}

/* --- what the rest of the room sees */

rt_feed_t *rt_feed_create(rt_t *rt)
{
    static const db_dedicated_handlers_t handlers = {
        .on_up = on_up, .on_lost = on_lost, .on_notify = on_notify};
    const config_t *config = rt->gateway->config;
    bool is_direct = config_is_set(config, "BASALT_DIRECT_DB_URI");
    str_t conninfo = config_str(config, is_direct ? "BASALT_DIRECT_DB_URI" : "BASALT_INTERNAL_DB_URI");
    rt_feed_t *feed = calloc(1, sizeof(*feed));
    if (feed == NULL)
        abort();
    feed->rt = rt;
    str_t id = rand_uuid(rt->pool);
    memcpy(feed->gateway_id, id.base, id.len);
    feed->conn = db_dedicated_create(rt->gateway->loop, conninfo, FEED_TIMEOUT_MS, &handlers, feed);
    return feed;
}

void rt_feed_destroy(rt_feed_t *feed)
{
    if (feed == NULL)
        return;
    loop_timer_stop(&feed->tick);
    db_dedicated_destroy(feed->conn);
    for (rt_root_t *root = feed->roots, *next; root != NULL; root = next) {
        next = root->next;
        free(root);
    }
    free(feed->identity);
    free(feed->cursor);
    free(feed->upper);
    free(feed->prunable);
    free(feed);
}

void rt_feed_nudge(rt_feed_t *feed)
{
    if (feed->state == FEED_PARKED && db_dedicated_is_idle(feed->conn))
        greet(feed);
    feed->read_due_us = 0;
    feed_step(feed);
}

void rt_feed_inspect(const rt_feed_t *feed, buf_t *out)
{
    static const char *const states[] = {"down", "greeting", "parked", "ready"};
    static const char *const sleeps[] = {"awake", "dozing_off", "asleep"};
    size_t held = 0, roots = 0;
    for (const rt_root_t *root = feed->roots; root != NULL; root = root->next, roots++)
        held += root->state == ROOT_HELD;
    buf_printf(
        out,
        "{\"state\":\"%s\",\"sleep\":\"%s\",\"holds_bell\":%s,\"tables\":%zu,\"held\":%zu,\"reads\":%llu,"
        "\"rows\":%llu}",
        states[feed->state], sleeps[feed->sleep], feed->holds_bell ? "true" : "false", roots, held,
        (unsigned long long)feed->reads_done, (unsigned long long)feed->rows_read);
}
