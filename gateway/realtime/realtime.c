#include "realtime/realtime.h"

#include "api/events.h"
#include "api/inspect.h"
#include "api/respond.h"
#include "api/route.h"
#include "api/task.h"
#include "base/clock.h"
#include "base/emit.h"
#include "realtime/peers.h"

#include <stdlib.h>

enum { JANITOR_MS = 1000, PUBLISHED_SECONDS = 60 };

/* --- the upgrade */

/* An answer that waits a moment, for clients that come again at once. */
typedef struct {
    loop_timer_t timer;
    http_handle_t *handle;
    int status;
    char text[256];
} refusal_t;

static void send_refusal(void *arg)
{
    refusal_t *refusal = arg;
    http_request_t *request = http_handle_get(refusal->handle);
    http_handle_release(refusal->handle);
    if (request != NULL) {
        buf_t out;
        buf_init(&out, http_pool(request), 256);
        if (refusal->text[0] != 0) {
            buf_append_lit(&out, "{\"error\":");
            emit_json_string(&out, str_from_c(refusal->text));
            buf_append_char(&out, '}');
        }
        http_send(request, refusal->status, STR("application/json"), buf_str(&out));
    }
    free(refusal);
}

static void refuse(rt_t *rt, http_request_t *request, int status, str_t text)
{
    refusal_t *refusal = calloc(1, sizeof(*refusal));
    if (refusal == NULL)
        abort();
    refusal->handle = http_handle_create(request);
    refusal->status = status;
    size_t len = text.len < sizeof(refusal->text) ? text.len : sizeof(refusal->text) - 1;
    if (len > 0)
        memcpy(refusal->text, text.base, len);
    int64_t delay = config_int(rt->gateway->config, "BASALT_REALTIME_ERROR_BACKOFF");
    loop_timer_start(rt->gateway->loop, &refusal->timer, delay, send_refusal, refusal);
}

static str_t query_value(pool_t *pool, str_t query, str_t name)
{
    while (!str_is_null(query)) {
        str_t pair = str_split(&query, '&');
        str_t value = pair;
        if (str_eq(str_split(&value, '='), name))
            return str_is_null(value) ? STR("") : api_url_decode(pool, value, true);
    }
    return STR_NULL;
}

/* `~> 1.0.0` or `~> 2.0.0`; absent counts as 1.0.0. */
static bool parse_vsn(str_t text, rt_vsn_t *vsn)
{
    *vsn = str_starts_with(text, STR("2.0.")) ? RT_VSN_2 : RT_VSN_1;
    return str_is_null(text) || str_starts_with(text, STR("1.0.")) || *vsn == RT_VSN_2;
}

/* How the upgrade calls the failures that joins call by code. */
static str_t upgrade_text(str_t code, str_t text)
{
    if (str_eq(code, STR("InvalidJWTToken")) && str_starts_with(text, STR("Token has expired")))
        return STR("Token has expired");
    return text;
}

static void on_websocket(rt_t *rt, api_context_t *ctx)
{
    http_request_t *request = ctx->request;
    str_t key = http_header(request, "x-api-key");
    if (str_is_null(key))
        key = query_value(ctx->pool, http_query(request), STR("apikey"));
    rt_vsn_t vsn;
    if (!parse_vsn(query_value(ctx->pool, http_query(request), STR("vsn")), &vsn)) {
        http_send(request, 403, STR_NULL, STR(""));
        return;
    }
    if (key.len == 0) {
        refuse(rt, request, 401, STR("API key is missing"));
        return;
    }
    if (rt->socket_count >= (size_t)config_int(rt->gateway->config, "BASALT_REALTIME_MAX_SOCKETS")) {
        refuse(rt, request, 429, STR("Too many connected users"));
        return;
    }
    rt_identity_t identity;
    str_t code, text;
    if (rt_identity_verify(rt, key, &identity, ctx->pool, &code, &text))
        rt_socket_open(rt, request, vsn, &identity);
    else
        refuse(rt, request, 401, upgrade_text(code, text));
}

static bool is_broadcast_path(str_t path)
{
    return str_eq(path, STR("/api/broadcast")) || str_starts_with(path, STR("/api/broadcast/"));
}

static void on_request(void *arg, api_context_t *ctx)
{
    rt_t *rt = arg;
    if (str_eq(ctx->path, STR("/websocket")) || str_eq(ctx->path, STR("/socket/websocket")))
        on_websocket(rt, ctx);
    else if (is_broadcast_path(ctx->path) && str_eq(http_method(ctx->request), STR("POST")))
        rt_rest_broadcast(rt, ctx, str_slice(ctx->path, STR("/api/broadcast").len, ctx->path.len));
    else if (str_eq(ctx->path, STR("/api/ping")))
        api_respond_json(ctx, 200, STR("{\"message\":\"Success\"}"));
    else
        api_respond_error(ctx, err_make(ctx->pool, 404, ERR_FAMILY_REQUEST, "", "Not Found"));
}

/* --- events of the house */

static void for_each_channel(rt_t *rt, void (*fn)(rt_channel_t *channel, void *arg), void *arg)
{
    for (rt_socket_t *socket = rt->sockets; socket != NULL; socket = socket->next) {
        for (rt_channel_t *channel = socket->channels, *next; channel != NULL; channel = next) {
            next = channel->next;
            fn(channel, arg);
        }
    }
}

static void end_if_session(rt_channel_t *channel, void *arg)
{
    if (str_eq(channel->identity.session_id, *(str_t *)arg))
        rt_channel_shutdown(channel, STR("Session has ended"));
}

static void end_if_user(rt_channel_t *channel, void *arg)
{
    if (str_eq(channel->identity.sub, *(str_t *)arg))
        rt_channel_shutdown(channel, STR("User has changed"));
}

static void on_session_ended(void *arg, str_t subject)
{
    if (subject.len > 0)
        for_each_channel(arg, end_if_session, &subject);
}

static void on_user_changed(void *arg, str_t subject)
{
    if (subject.len > 0)
        for_each_channel(arg, end_if_user, &subject);
}

static void tend_channel(rt_channel_t *channel, void *arg)
{
    rt_changes_retry(channel, *(int64_t *)arg);
    rt_channel_expire(channel, *(int64_t *)arg); /* last: it may be gone then */
}

/* --- the publication: when its tables change, everything is subscribed anew, so that wildcards see new
 * tables */

static const char PUBLISHED_SQL[] =
    "select coalesce(md5(string_agg(p.schemaname || '.' || p.tablename, ',' order by p.schemaname, "
    "p.tablename)), '') "
    "from pg_catalog.pg_publication_tables p where p.pubname = 'supabase_realtime'";

static void restart_changes(rt_channel_t *channel, void *arg)
{
    (void)arg;
    if (channel->changes != NULL || channel->next_changes != NULL) /* what had failed is not tried again */
        rt_changes_start(channel);
}

static void on_published(void *arg, size_t stmt, const str_t *values, size_t count)
{
    rt_t *rt = arg;
    (void)stmt, (void)count;
    char digest[sizeof(rt->published)] = {0};
    memcpy(digest, values[0].base, values[0].len < sizeof(digest) ? values[0].len : sizeof(digest) - 1);
    rt->is_published_new = rt->published[0] != 0 && strcmp(digest, rt->published) != 0;
    memcpy(rt->published, digest, sizeof(digest));
}

static void on_published_read(void *arg, const err_t *error)
{
    rt_t *rt = arg;
    rt->published_tx = NULL;
    if (error == NULL && rt->is_published_new)
        for_each_channel(rt, restart_changes, NULL);
    rt->is_published_new = false;
}

static void check_published(rt_t *rt, int64_t now)
{
    static const db_tx_handlers_t handlers = {.on_row = on_published, .on_done = on_published_read};
    static const db_stmt_t stmt = {.sql = {PUBLISHED_SQL, sizeof(PUBLISHED_SQL) - 1}};
    if (rt->feed == NULL || rt->published_tx != NULL || rt->channel_count == 0 ||
        now - rt->published_checked_at < PUBLISHED_SECONDS)
        return;
    rt->published_checked_at = now;
    db_tx_spec_t spec = {.is_read_only = true, .stmts = &stmt, .stmt_count = 1, .timeout_ms = 5000};
    rt->published_tx = db_tx_submit(rt->gateway->internal_pool, &spec, &handlers, rt);
}

static void on_schema_changed(void *arg, str_t subject)
{
    rt_t *rt = arg;
    (void)subject;
    rt->published_checked_at = 0; /* with the next tick of the janitor */
}

static void on_janitor(void *arg)
{
    rt_t *rt = arg;
    int64_t now = clock_unix();
    for_each_channel(rt, tend_channel, &now);
    check_published(rt, now);
    loop_timer_start(rt->gateway->loop, &rt->janitor, JANITOR_MS, on_janitor, rt);
}

static void inspect(void *arg, buf_t *out)
{
    rt_t *rt = arg;
    buf_printf(out, "{\"sockets\":%zu,\"channels\":%zu,\"topics\":%zu,\"feed\":", rt->socket_count,
               rt->channel_count, map_count(rt->topics));
    if (rt->feed != NULL)
        rt_feed_inspect(rt->feed, out);
    else
        buf_append_lit(out, "null");
    buf_append_char(out, '}');
}

static void dispose(void *arg)
{
    rt_t *rt = arg;
    loop_timer_stop(&rt->janitor);
    rt_batch_abandon(rt);
    if (rt->published_tx != NULL)
        db_tx_cancel(rt->published_tx);
    if (rt->messages_tx != NULL)
        db_tx_cancel(rt->messages_tx);
    rt_feed_destroy(rt->feed);
    size_t at = 0;
    str_t key;
    void *table;
    while (map_next(rt->tables, &at, &key, &table))
        rt_table_unref(table);
    map_destroy(rt->topics);
    map_destroy(rt->viewers);
    map_destroy(rt->tables);
    map_destroy(rt->watches);
    buf_dispose(&rt->scratch);
}

void realtime_register(gateway_t *gateway, pool_t *pool)
{
    rt_t *rt = POOL_NEW(pool, rt_t);
    double joins = (double)config_int(gateway->config, "BASALT_REALTIME_MAX_JOINS_PER_SECOND");
    double events = (double)config_int(gateway->config, "BASALT_REALTIME_MAX_EVENTS_PER_SECOND");
    *rt = (rt_t){.gateway = gateway, .pool = pool};
    rt->topics = map_create(NULL, 64);
    rt->viewers = map_create(NULL, 64);
    rt->tables = map_create(NULL, 64);
    rt->watches = map_create(NULL, 64);
    buf_init(&rt->scratch, NULL, 4096);
    token_bucket_init(&rt->joins, joins, joins);
    token_bucket_init(&rt->events, events, events * 60); /* an average over a minute, as the peer counts */
    if (gateway->internal_pool != NULL)
        rt->feed = rt_feed_create(rt);
    api_route_t route = {
        .prefix = "/realtime/v1", .style = API_STYLE_PLAIN, .handler = on_request, .arg = rt};
    api_route_add(gateway, &route);
    api_event_on(gateway, API_EVENT_SESSION_ENDED, on_session_ended, rt);
    api_event_on(gateway, API_EVENT_USER_CHANGED, on_user_changed, rt);
    api_event_on(gateway, API_EVENT_SCHEMA_CHANGED, on_schema_changed, rt);
    api_inspect_add(gateway, "realtime", inspect, rt);
    loop_timer_start(gateway->loop, &rt->janitor, JANITOR_MS, on_janitor, rt);
    pool_on_dispose(pool, dispose, rt);
}
