/* Broadcast over HTTP: POST /api/broadcast with several messages, POST /api/broadcast/<topic>/events/<event>
 * with one. */
#include "api/respond.h"
#include "api/task.h"
#include "base/emit.h"
#include "realtime/json_slice.h"
#include "realtime/peers.h"
#include "realtime/private.h"

enum { MESSAGES_MAX = 1000 };

typedef struct {
    str_t topic, event, payload;
    bool is_private, is_binary;
} post_message_t;

/* A request while rights to private topics are asked for. Lives in a pool of its own: the client may leave.
 */
typedef struct {
    rt_t *rt;
    pool_t *pool;
    http_handle_t *handle;
    rt_identity_t identity;
    post_message_t *messages;
    size_t count, at;
    bool is_single;
} post_t;

static void answer(http_request_t *request, int status, str_t body)
{
    http_send(request, status, body.len > 0 ? STR("application/json") : STR_NULL, body);
}

static void deliver(rt_t *rt, const post_message_t *message)
{
    rt_broadcast_t broadcast = {
        .event = message->event, .payload = message->payload, .is_binary = message->is_binary};
    rt_broadcast_send(rt_topic_find(rt, message->topic, message->is_private), &broadcast, NULL);
}

static void post_end(post_t *post, int status, str_t body)
{
    http_request_t *request = http_handle_get(post->handle);
    http_handle_release(post->handle);
    if (request != NULL)
        answer(request, status, body);
    rt_identity_dispose(&post->identity);
    pool_destroy(post->pool);
}

static void post_next(post_t *post);

static void on_rights(void *arg, const rt_rights_t *rights)
{
    post_t *post = arg;
    if (rights->write_broadcast) {
        deliver(post->rt, &post->messages[post->at]);
    } else if (post->is_single) {
        post_end(post, 403, STR("{\"message\":\"Unauthorized\"}"));
        return;
    }
    post->at++;
    post_next(post);
}

/* In order; a private message waits for its rights, and those behind it with it. */
static void post_next(post_t *post)
{
    for (; post->at < post->count; post->at++) {
        post_message_t *message = &post->messages[post->at];
        if (message->is_private && post->rt->gateway->internal_pool != NULL) {
            rt_probe_start(post->rt, &post->identity, message->topic, false, false, on_rights, post);
            return;
        }
        if (!message->is_private)
            deliver(post->rt, message);
    }
    post_end(post, 202, STR(""));
}

/* --- reading the messages */

static bool is_named(str_t raw)
{
    return json_slice_is_string(raw) && raw.len > 2;
}

static bool read_message(pool_t *pool, str_t item, post_message_t *out, buf_t *errors)
{
    str_t topic = json_slice_get(item, STR("topic")), event = json_slice_get(item, STR("event"));
    str_t payload = json_slice_get(item, STR("payload"));
    emit_t emit;
    emit_init(&emit, errors);
    emit_object_begin(&emit);
    bool is_good = true;
    const struct {
        str_t name;
        bool is_good;
    } checks[] = {{STR("topic"), is_named(topic)},
                  {STR("event"), is_named(event)},
                  {STR("payload"), json_slice_is_object(payload)}};
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (checks[i].is_good)
            continue;
        is_good = false;
        emit_key(&emit, checks[i].name);
        emit_raw(&emit, STR("[\"can't be blank\"]"));
    }
    emit_object_end(&emit);
    *out = (post_message_t){.topic = pool_str(pool, json_slice_string(pool, topic)),
                            .event = pool_str(pool, json_slice_string(pool, event)),
                            .payload = pool_str(pool, payload),
                            .is_private = str_eq(json_slice_get(item, STR("private")), STR("true"))};
    return is_good;
}

/* False: *why is the body of a 422. */
static bool read_messages(post_t *post, pool_t *pool, str_t body, str_t *why)
{
    *why = STR("{\"errors\":{\"messages\":[\"can't be blank\"]}}");
    str_t list = json_slice_is_valid(body) ? json_slice_get(str_trim(body), STR("messages")) : STR_NULL;
    size_t at = 0, count = 0;
    str_t item;
    while (json_slice_item(list, &at, &item))
        count++;
    if (count == 0 || count > MESSAGES_MAX)
        return false;
    post->messages = POOL_ARRAY(post->pool, post_message_t, count);
    buf_t errors;
    buf_init(&errors, pool, 256);
    buf_append_lit(&errors, "{\"errors\":{\"messages\":[");
    bool is_good = true;
    at = 0;
    while (json_slice_item(list, &at, &item)) {
        if (post->count > 0)
            buf_append_char(&errors, ',');
        is_good &= read_message(post->pool, item, &post->messages[post->count++], &errors);
    }
    buf_append_lit(&errors, "]}}");
    *why = buf_str(&errors);
    return is_good;
}

/* <topic>/events/<event>; false when the path is another. */
static bool read_single(post_t *post, api_context_t *ctx, str_t path)
{
    size_t split = str_find(path, STR("/events/"), 0);
    if (split == SIZE_MAX)
        return false;
    str_t topic = api_url_decode(post->pool, str_slice(path, 0, split), false);
    str_t event = api_url_decode(post->pool, str_slice(path, split + STR("/events/").len, path.len), false);
    if (topic.len == 0 || event.len == 0)
        return false;
    str_t query = http_query(ctx->request);
    bool is_private = false;
    while (!str_is_null(query))
        is_private |= str_eq(str_split(&query, '&'), STR("private=true"));
    post->is_single = true;
    post->count = 1;
    post->messages = POOL_NEW(post->pool, post_message_t);
    *post->messages = (post_message_t){.topic = pool_str(post->pool, topic),
                                       .event = pool_str(post->pool, event),
                                       .payload = pool_str(post->pool, http_body(ctx->request)),
                                       .is_private = is_private};
    return true;
}

/* The media type of a single message's body; answers what it is not. */
static bool check_type(post_t *post, api_context_t *ctx, int *status, str_t *why)
{
    str_t type = http_header(ctx->request, "content-type");
    post_message_t *message = post->messages;
    message->is_binary = str_starts_with(type, STR("application/octet-stream"));
    if (!message->is_binary && !str_starts_with(type, STR("application/json"))) {
        *status = 415;
        *why =
            STR("{\"error\":\"Unsupported Media Type. Use application/json or application/octet-stream\"}");
        return false;
    }
    if (!message->is_binary && !json_slice_is_valid(message->payload)) {
        *status = 422;
        *why = STR("{\"errors\":{\"payload\":[\"is invalid\"]}}");
        return false;
    }
    return true;
}

static void refuse(post_t *post, http_request_t *request, int status, str_t body)
{
    body = pool_str(http_pool(request), body);
    if (post->identity.pool != NULL)
        rt_identity_dispose(&post->identity);
    pool_destroy(post->pool);
    answer(request, status, body);
}

static str_t find_token(api_context_t *ctx)
{
    if (ctx->bearer.len > 0)
        return ctx->bearer;
    str_t query = http_query(ctx->request);
    while (!str_is_null(query)) {
        str_t value = str_split(&query, '&');
        if (str_eq(str_split(&value, '='), STR("apikey")) && !str_is_null(value))
            return value;
    }
    return STR_NULL;
}

void rt_rest_broadcast(rt_t *rt, api_context_t *ctx, str_t path)
{
    pool_t *pool = pool_create();
    post_t *post = POOL_NEW(pool, post_t);
    *post = (post_t){.rt = rt, .pool = pool};
    str_t code, text, why;
    int status = 422;
    if (!rt_identity_verify(rt, find_token(ctx), &post->identity, pool, &code, &text)) {
        refuse(post, ctx->request, 401, STR("{\"message\":\"Unauthorized\"}"));
        return;
    }
    bool is_list = path.len == 0;
    if (!is_list && !read_single(post, ctx, str_slice(path, 1, path.len))) {
        refuse(post, ctx->request, 404, STR("{\"message\":\"Not Found\"}"));
        return;
    }
    if (is_list ? !read_messages(post, pool, http_body(ctx->request), &why)
                : !check_type(post, ctx, &status, &why)) {
        refuse(post, ctx->request, status, why);
        return;
    }
    if (!token_bucket_take(&rt->events, (double)post->count, NULL)) {
        refuse(post, ctx->request, 429, STR("{\"message\":\"Too many requests\"}"));
        return;
    }
    post->handle = http_handle_create(ctx->request);
    post_next(post);
}
