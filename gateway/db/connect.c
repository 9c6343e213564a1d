#include "db/connect.h"

#include "base/buf.h"

#include <stdlib.h>

/* A keyword and the value it gets when the conninfo does not set it. Half-open TCP connections are noticed
 * within half a minute; a request ends by its own deadline long before. */
static const char *const defaults[][2] = {
    {"client_encoding", "UTF8"},   {"fallback_application_name", "basalt"},
    {"connect_timeout", "5"},      {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},  {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},
};

static const char pinned_options[] =
    "-c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=1 "
    "-c bytea_output=hex -c client_min_messages=error"; /* notices have no reader */

enum { PARAMS_MAX = 64 };

typedef struct {
    const char *keywords[PARAMS_MAX + 1], *values[PARAMS_MAX + 1];
    size_t count;
} params_t;

static void params_add(params_t *params, const char *keyword, const char *value)
{
    if (params->count < PARAMS_MAX) {
        params->keywords[params->count] = keyword;
        params->values[params->count] = value;
        params->count++;
    }
}

static bool params_has(const params_t *params, const char *keyword)
{
    for (size_t i = 0; i < params->count; i++)
        if (strcmp(params->keywords[i], keyword) == 0)
            return true;
    return false;
}

static void drop_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

/* The text of a conninfo that does not parse is left to libpq, which then reports it in the usual way. */
static PGconn *connect_with(const char *conninfo, db_connect_to_t to)
{
    PQconninfoOption *given = PQconninfoParse(conninfo, NULL);
    if (given == NULL)
        return PQconnectdb(conninfo);
    params_t params = {.count = 0};
    const char *user_options = getenv("PGOPTIONS");
    for (PQconninfoOption *option = given; option->keyword != NULL; option++) {
        bool is_overruled = to == DB_CONNECT_PRIMARY && strcmp(option->keyword, "target_session_attrs") == 0;
        if (option->val == NULL || is_overruled)
            continue;
        if (strcmp(option->keyword, "options") == 0)
            user_options = option->val;
        else
            params_add(&params, option->keyword, option->val);
    }
    if (to == DB_CONNECT_PRIMARY)
        params_add(&params, "target_session_attrs", "primary");
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (!params_has(&params, defaults[i][0]))
            params_add(&params, defaults[i][0], defaults[i][1]);
    buf_t options;
    buf_init(&options, NULL, 256);
    buf_printf(&options, "%s %s", pinned_options, user_options != NULL ? user_options : "");
    buf_append_char(&options, '\0');
    params_add(&params, "options", options.base);
    PGconn *pg = PQconnectdbParams(params.keywords, params.values, 0);
    buf_dispose(&options);
    PQconninfoFree(given);
    return pg;
}

static PGconn *connect_blocking(str_t conninfo, db_connect_to_t to)
{
    char *text = strndup(conninfo.base != NULL ? conninfo.base : "", conninfo.len);
    PGconn *pg = text != NULL ? connect_with(text, to) : NULL;
    free(text);
    if (pg == NULL)
        abort(); /* out of memory only */
    PQsetNoticeProcessor(pg, drop_notice, NULL);
    return pg;
}

PGconn *db_connect_blocking(str_t conninfo)
{
    return connect_blocking(conninfo, DB_CONNECT_ANY);
}

struct db_connect {
    str_t conninfo; /* own copy */
    db_connect_to_t to;
    void (*done)(void *arg, PGconn *pg);
    void *arg;
    offload_t *offload;
    PGconn *pg; /* set by the helper thread, read by the loop after it */
};

static void connect_free(db_connect_t *connect)
{
    free((char *)connect->conninfo.base);
    free(connect);
}

static void on_thread(void *arg)
{
    db_connect_t *connect = arg;
    connect->pg = connect_blocking(connect->conninfo, connect->to);
}

static void on_done(void *arg)
{
    db_connect_t *connect = arg;
    /* NULL: no thread could be started. PQconnectStart of nonsense gives a failed connection to report. */
    PGconn *pg = connect->pg != NULL ? connect->pg : PQconnectStart("no thread");
    void (*done)(void *, PGconn *) = connect->done;
    void *done_arg = connect->arg;
    connect_free(connect);
    done(done_arg, pg);
}

static void on_drop(void *arg)
{
    db_connect_t *connect = arg;
    PQfinish(connect->pg); /* NULL is allowed */
    connect_free(connect);
}

db_connect_t *db_connect_start(loop_t *loop, str_t conninfo, db_connect_to_t to,
                               void (*done)(void *arg, PGconn *pg), void *arg)
{
    db_connect_t *connect = calloc(1, sizeof(*connect));
    char *copy = connect != NULL ? strndup(conninfo.base != NULL ? conninfo.base : "", conninfo.len) : NULL;
    if (copy == NULL)
        abort();
    *connect = (db_connect_t){.conninfo = {copy, conninfo.len}, .to = to, .done = done, .arg = arg};
    connect->offload = offload_start(loop, on_thread, on_done, on_drop, connect);
    return connect;
}

void db_connect_abort(db_connect_t *connect)
{
    offload_abandon(connect->offload);
}
