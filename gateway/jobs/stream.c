#include "jobs/stream.h"

#include "api/events.h"
#include "api/inspect.h"
#include "api/respond.h"
#include "base/emit.h"
#include "base/read_json.h"
#include "db/listen.h"

#include <stdlib.h>

enum { HEARTBEAT_MS = 15000, STREAMS_MAX = 64 };

typedef struct job_stream {
    struct job_stream *next;
    struct jobs_streams *all;
    http_stream_t *http;
} job_stream_t;

/* Life of the process. */
struct jobs_streams {
    gateway_t *gateway;
    db_listen_t *listen;
    loop_timer_t heartbeat;
    job_stream_t *first;
    size_t count;
};

static void unlink_stream(job_stream_t *stream)
{
    for (job_stream_t **link = &stream->all->first; *link != NULL; link = &(*link)->next) {
        if (*link != stream)
            continue;
        *link = stream->next;
        stream->all->count--;
        break;
    }
    free(stream);
}

static void on_gone(void *arg)
{
    unlink_stream(arg);
}

/* A reader that does not read is cut off: it comes back and claims what it missed. */
static void write_all(jobs_streams_t *streams, str_t line)
{
    for (job_stream_t *stream = streams->first, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (http_stream_write(stream->http, line))
            continue;
        http_stream_abort(stream->http);
        unlink_stream(stream);
    }
}

static void on_heartbeat(void *arg)
{
    jobs_streams_t *streams = arg;
    write_all(streams, STR("{\"event\":\"heartbeat\"}\n"));
    loop_timer_start(streams->gateway->loop, &streams->heartbeat, HEARTBEAT_MS, on_heartbeat, streams);
}

/* Bells may have been missed while the connection was down. */
static void on_ready(void *arg)
{
    write_all(arg, STR("{\"event\":\"resync\"}\n"));
}

static void on_notify(void *arg, str_t channel, str_t payload)
{
    pool_t *pool = pool_create();
    json_t *bell = NULL;
    (void)channel;
    /* Anybody may notify: only what parses is passed on, as one line. */
    if (read_json(pool, payload, NULL, &bell) == NULL && json_is_object(bell))
        write_all(arg, pool_printf(pool, "%.*s\n", STR_ARG(read_json_dump(pool, bell))));
    pool_destroy(pool);
}

static void on_drain(void *arg, str_t subject)
{
    jobs_streams_t *streams = arg;
    (void)subject;
    loop_timer_stop(&streams->heartbeat);
    while (streams->first != NULL) {
        http_stream_end(streams->first->http);
        unlink_stream(streams->first);
    }
}

static void inspect(void *arg, buf_t *out)
{
    jobs_streams_t *streams = arg;
    emit_t emit;
    emit_init(&emit, out);
    emit_object_begin(&emit);
    emit_kv_int(&emit, "streams", (int64_t)streams->count);
    emit_kv_bool(&emit, "is_listening", streams->listen != NULL && db_listen_is_up(streams->listen));
    emit_object_end(&emit);
}

static void start_listening(jobs_streams_t *streams)
{
    static const db_listen_handlers_t HANDLERS = {.on_ready = on_ready, .on_notify = on_notify};
    const config_t *config = streams->gateway->config;
    str_t channel = STR("basalt_jobs");
    str_t conninfo =
        config_str(config, config_is_set(config, "BASALT_DIRECT_DB_URI") ? "BASALT_DIRECT_DB_URI"
                                                                         : "BASALT_INTERNAL_DB_URI");
    if (conninfo.len > 0)
        streams->listen = db_listen_create(streams->gateway->loop, conninfo, &channel, 1, &HANDLERS, streams);
}

static void dispose(void *arg)
{
    jobs_streams_t *streams = arg;
    loop_timer_stop(&streams->heartbeat);
    if (streams->listen != NULL)
        db_listen_destroy(streams->listen);
}

jobs_streams_t *jobs_streams_create(gateway_t *gateway, pool_t *pool)
{
    jobs_streams_t *streams = POOL_NEW(pool, jobs_streams_t);
    pool_on_dispose(pool, dispose, streams);
    streams->gateway = gateway;
    if (gateway->internal_sessions != NULL)
        start_listening(streams);
    api_event_on(gateway, API_EVENT_DRAIN, on_drain, streams);
    api_inspect_add(gateway, "jobs", inspect, streams);
    loop_timer_start(gateway->loop, &streams->heartbeat, HEARTBEAT_MS, on_heartbeat, streams);
    return streams;
}

void jobs_stream_open(jobs_streams_t *streams, api_context_t *ctx)
{
    if (streams->count >= STREAMS_MAX || ctx->gateway->is_draining) {
        api_respond_error(ctx,
                          err_make(ctx->pool, 503, ERR_FAMILY_OVERLOAD, "overloaded", "No stream is free"));
        return;
    }
    job_stream_t *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        abort();
    stream->all = streams;
    stream->next = streams->first;
    streams->first = stream;
    streams->count++;
    stream->http = http_stream_begin(ctx->request, 200, STR("application/x-ndjson"), -1, on_gone, stream);
    http_stream_write(stream->http, STR("{\"event\":\"hello\"}\n"));
}
