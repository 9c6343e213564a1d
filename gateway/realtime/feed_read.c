/* Reading the outbox: everything that became visible since the last snapshot, each row once, in an order that
 * agrees with commits.
 *
 * Between transactions rows are ordered by the transaction's last captured id. Ids are taken while row locks
 * are held, so of two transactions that changed the same row the later one has the larger last id, whatever
 * their xids; and within one transaction statements are ordered by their ordinals. One snapshot bounds all
 * pages of a read, and the statement that takes it reads its first page. */
#include "base/clock.h"
#include "base/observe.h"
#include "realtime/feed.h"

#include <stdlib.h>

/* A page ends after 500 rows or about 4 MB (as stored), but has at least one row. */
static const char READ_SQL[] =
    "with fresh as ("
    "  select o.*, max(o.id) over (partition by o.xid) as tail,"
    "         coalesce(pg_column_size(o.old), 0) + coalesce(pg_column_size(o.new), 0) as size"
    "    from (select * from basalt.outbox where xid >= pg_snapshot_xmax($1::pg_snapshot)"
    "          union all"
    "          select * from basalt.outbox where xid = any (array(select pg_snapshot_xip($1::pg_snapshot)))) "
    "o"
    "   where pg_visible_in_snapshot(o.xid, coalesce($2::pg_snapshot, pg_current_snapshot()))), "
    "ahead as ("
    "  select *, row_number() over place as number, sum(size) over place as so_far, count(*) over () as total"
    "    from fresh where (tail, ordinal, id) > ($3::bigint, $4::bigint, $5::bigint)"
    "  window place as (order by tail, ordinal, id)) "
    "select coalesce($2::pg_snapshot, pg_current_snapshot())::text, p.relid, p.op, p.old, p.new, p.tail, "
    "p.ordinal, p.id, "
    "       (extract(epoch from case when current_setting('track_commit_timestamp')::boolean"
    "                                then pg_xact_commit_timestamp(p.xid::xid) else clock_timestamp() end) * "
    "1000)::bigint, "
    "       p.total "
    "  from (values (1)) one (x)"
    "  left join ahead p on p.number <= 500 and (p.so_far <= 4000000 or p.number = 1)"
    " order by p.number";
static const char PRUNE_SQL[] = "select basalt.feed_prune($1::pg_snapshot)";

enum { COL_SNAPSHOT, COL_RELID, COL_OP, COL_OLD, COL_NEW, COL_TAIL, COL_ORDINAL, COL_ID, COL_MS, COL_TOTAL };

static str_t value_at(pool_t *pool, const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return STR_NULL;
    return pool_str(pool,
                    str_make(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)));
}

/* The rows somebody subscribes to, copied. */
static rt_change_t *copy_rows(rt_feed_t *feed, pool_t *pool, const PGresult *result, size_t *count)
{
    int rows = PQntuples(result);
    rt_change_t *changes = POOL_ARRAY(pool, rt_change_t, (size_t)rows);
    *count = 0;
    for (int i = 0; i < rows; i++) {
        uint32_t relid = (uint32_t)strtoul(PQgetvalue(result, i, COL_RELID), NULL, 10);
        char op = PQgetvalue(result, i, COL_OP)[0];
        if (op != 'M' && rt_watch_find(feed->rt, relid) == NULL)
            continue;
        changes[(*count)++] = (rt_change_t){.relid = relid,
                                            .op = op,
                                            .old_row = value_at(pool, result, i, COL_OLD),
                                            .new_row = value_at(pool, result, i, COL_NEW),
                                            .commit_ms = strtoll(PQgetvalue(result, i, COL_MS), NULL, 10)};
    }
    return changes;
}

/* The page is delivered, or had nothing for anybody. */
static void on_delivered(void *arg)
{
    rt_feed_t *feed = arg;
    feed->is_batch_running = false;
    if (feed->upper == NULL) {
        feed->reads_done = feed->reads_begun;
        rt_changes_advance(feed->rt, feed->reads_begun, feed->reads_done);
    }
    feed_step(feed);
}

static void keep_place(rt_feed_t *feed, const PGresult *result, int rows)
{
    const char *upper = PQgetvalue(result, 0, COL_SNAPSHOT);
    if (rows == 0 || strtoll(PQgetvalue(result, 0, COL_TOTAL), NULL, 10) <= rows) {
        feed_set_text(&feed->cursor, upper);
        feed_set_text(&feed->upper, NULL);
        return;
    }
    feed_set_text(&feed->upper, upper);
    for (int i = 0; i < 3; i++)
        strncpy(feed->last[i], PQgetvalue(result, rows - 1, COL_TAIL + i), sizeof(feed->last[i]) - 1);
    feed->must_read = true;
}

static void count_read(rt_feed_t *feed, int rows, int64_t now)
{
    feed->rows_read += (uint64_t)rows;
    feed->last_read_us = now;
    if (rows > 0)
        feed->empty_reads = 0;
    else
        feed->empty_reads++;
    if (feed->sleep == FEED_DOZING_OFF) {
        if (rows == 0 && !feed->has_rung)
            feed->sleep = FEED_ASLEEP;
        else
            feed->must_wake = true;
    }
    feed->read_due_us = now + (feed->sleep == FEED_ASLEEP ? FEED_SAFETY_MS : FEED_AWAKE_MS) * INT64_C(1000);
}

static void on_read(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    int64_t now = clock_mono_us();
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        observe(LOG_ERROR, "realtime_read_failed", F_CSTR("reason", PQresultErrorMessage(result)));
        feed->read_due_us = now + FEED_SAFETY_MS * INT64_C(1000);
        feed_step(feed);
        return;
    }
    int rows = PQgetisnull(result, 0, COL_RELID) ? 0 : PQntuples(result);
    keep_place(feed, result, rows);
    count_read(feed, rows, now);
    feed->is_batch_running = true;
    size_t count = 0;
    pool_t *pool = rows > 0 ? pool_create() : NULL;
    rt_change_t *changes = rows > 0 ? copy_rows(feed, pool, result, &count) : NULL;
    if (count > 0) {
        rt_batch_run(feed->rt, pool, changes, count, on_delivered, feed);
        return;
    }
    pool_destroy(pool);
    on_delivered(feed);
}

void feed_read(rt_feed_t *feed)
{
    feed->must_read = feed->has_rung = false;
    if (feed->upper == NULL) {
        feed->reads_begun++;
        for (int i = 0; i < 3; i++)
            strcpy(feed->last[i], "0");
    }
    const char *params[] = {feed->cursor, feed->upper, feed->last[0], feed->last[1], feed->last[2]};
    db_dedicated_run(feed->conn, READ_SQL, params, 5, on_read);
}

static void on_pruned(void *arg, const PGresult *result)
{
    rt_feed_t *feed = arg;
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        observe(LOG_WARN, "realtime_prune_failed", F_CSTR("reason", PQresultErrorMessage(result)));
    feed_step(feed);
}

bool feed_prune_step(rt_feed_t *feed, int64_t now)
{
    if (feed->is_batch_running || now - feed->prunable_us < FEED_KEEP_US)
        return false;
    char *due = feed->prunable;
    feed->prunable = strdup(feed->cursor);
    feed->prunable_us = now;
    if (due == NULL || strcmp(due, feed->cursor) == 0) {
        free(due);
        return false;
    }
    const char *params[] = {due};
    db_dedicated_run(feed->conn, PRUNE_SQL, params, 1, on_pruned);
    free(due);
    return true;
}
