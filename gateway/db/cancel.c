#include "db/inside.h"

#include "base/observe.h"

#include <stdlib.h>

enum { CANCEL_DELAY_MS = 20 };

/* One open cancel request. It hits whatever the backend runs when it arrives, so until it is through nothing
 * else is sent on the connection. */
struct cancel {
    conn_t *conn;
    PGcancel *request;
    offload_t *offload;
};

static void cancel_free(void *arg)
{
    struct cancel *cancel = arg;
    PQfreeCancel(cancel->request);
    free(cancel);
}

static void on_thread(void *arg)
{
    struct cancel *cancel = arg;
    char message[256];
    if (!PQcancel(cancel->request, message, sizeof(message)))
        observe(LOG_WARN, "db_cancel_failed", F_CSTR("reason", message));
}

static void on_done(void *arg)
{
    struct cancel *cancel = arg;
    conn_t *conn = cancel->conn;
    cancel_free(cancel);
    conn->cancel = NULL;
    if (conn->state == CONN_STATE_CANCELLING) {
        conn_set_state(conn, CONN_STATE_IDLE);
        db_pool_on_free(conn);
    }
}

static void on_delay(void *arg)
{
    conn_t *conn = arg;
    bool is_wanted = conn->first != NULL && conn->first == conn->last && conn->first->tx != NULL &&
                     conn->first->tx->is_detached;
    if (!is_wanted || conn->cancel != NULL || conn->state != CONN_STATE_BUSY)
        return;
    struct cancel *cancel = calloc(1, sizeof(*cancel));
    if (cancel == NULL)
        abort();
    cancel->conn = conn;
    cancel->request = PQgetCancel(conn->wire->pg);
    conn->cancel = cancel;
    conn->pool->cancel_total++;
    cancel->offload = offload_start(conn->pool->loop, on_thread, on_done, cancel_free, cancel);
}

void cancel_schedule(conn_t *conn)
{
    loop_timer_start(conn->pool->loop, &conn->cancel_delay, CANCEL_DELAY_MS, on_delay, conn);
}

void cancel_abandon(conn_t *conn)
{
    if (conn->cancel != NULL)
        offload_abandon(conn->cancel->offload);
    conn->cancel = NULL;
}
