#include "executor/gateway_client.h"

#include "base/buf.h"
#include "base/fetch.h"
#include "base/read_json.h"

#include <stdlib.h>
#include <time.h>

enum {
    ATTEMPTS = 3,
    TIMEOUT_MS = 30000,
    LINE_MAX_BYTES = 65536,
    STREAM_MS = 3600000,
    RESPONSE_MAX = 64 << 20
};

struct gateway_client {
    const gateway_address_t *address;
    fetch_t *fetch;
    pool_t *pool;
    str_t authorization;
    int timeout_ms; /* of the next exchanges; 0: TIMEOUT_MS */
};

static bool is_loopback(str_t host)
{
    if (str_eq(host, STR("localhost")) || str_eq(host, STR("[::1]")))
        return true;
    if (!str_starts_with(host, STR("127.")))
        return false;
    for (size_t i = 0; i < host.len; i++) /* an address, not a name that begins like one */
        if (host.base[i] != '.' && (host.base[i] < '0' || host.base[i] > '9'))
            return false;
    return true;
}

err_t *gateway_address_parse(pool_t *pool, str_t url, str_t key, str_t ca_file, gateway_address_t *out)
{
    bool is_plain = str_starts_with(url, STR("http://"));
    if (!is_plain && !str_starts_with(url, STR("https://")))
        return err_make(pool, 0, ERR_FAMILY_REQUEST, "config",
                        "SUPABASE_URL must be an http or https address");
    str_t host = str_slice(url, is_plain ? 7 : 8, url.len);
    host = str_slice(host, 0, str_find_char(host, '/', 0));
    if (host.len > 0 && host.base[0] == '[')
        host = str_slice(host, 0, str_find_char(host, ']', 0) + 1);
    else
        host = str_slice(host, 0, str_find_char(host, ':', 0));
    if (is_plain && !is_loopback(host))
        return err_make(
            pool, 0, ERR_FAMILY_REQUEST, "config",
            "SUPABASE_URL is plain HTTP to another machine: the key would travel in clear; use https");
    if (key.len == 0)
        return err_make(pool, 0, ERR_FAMILY_REQUEST, "config", "SERVICE_ROLE_KEY is not set");
    while (url.len > 0 && url.base[url.len - 1] == '/')
        url.len--;
    *out = (gateway_address_t){pool_str(pool, url), pool_str(pool, key),
                               str_is_null(ca_file) ? STR_NULL : pool_str(pool, ca_file)};
    return NULL;
}

gateway_client_t *gateway_client_create(const gateway_address_t *address)
{
    pool_t *pool = pool_create();
    gateway_client_t *client = POOL_NEW(pool, gateway_client_t);
    client->pool = pool;
    client->address = address;
    client->fetch = fetch_create();
    client->authorization = pool_concat(pool, 2, STR("Bearer "), address->key);
    return client;
}

void gateway_client_destroy(gateway_client_t *client)
{
    if (client == NULL)
        return;
    fetch_destroy(client->fetch);
    pool_destroy(client->pool);
}

str_t gateway_url_encode(pool_t *pool, str_t text)
{
    static const char HEX[] = "0123456789ABCDEF";
    buf_t out;
    buf_init(&out, pool, text.len * 3 + 1);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_' ||
            c == '.' || c == '~') {
            buf_append_char(&out, (char)c);
            continue;
        }
        buf_append_char(&out, '%');
        buf_append_char(&out, HEX[c >> 4]);
        buf_append_char(&out, HEX[c & 15]);
    }
    return buf_str(&out);
}

static err_t *refusal(pool_t *pool, const fetch_response_t *response)
{
    json_t *body = NULL;
    str_t text = STR_NULL, code = STR_NULL;
    if (read_json(pool, response->body, NULL, &body) == NULL && json_is_object(body)) {
        text = read_json_str(body, "message");
        if (text.len == 0)
            text = read_json_str(body, "error");
        code = read_json_str(body, "code");
    }
    err_t *err = err_make(pool, (uint16_t)response->status, ERR_FAMILY_UPSTREAM,
                          code.len > 0 ? pool_cstr(pool, code) : "gateway", "the gateway answered %d%s%.*s",
                          response->status, text.len > 0 ? ": " : "", STR_ARG(text));
    return err;
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* One request with repetitions. `*out` (may be NULL) is the JSON of a 2xx answer, NULL without a body. */
static err_t *exchange(gateway_client_t *client, pool_t *pool, str_t method, str_t path, str_t body,
                       str_t prefer, bool is_repeatable, json_t **out)
{
    static const read_json_limits_t LIMITS = {.size_max = RESPONSE_MAX, .depth_max = 128, .any_value = true};
    fetch_header_t headers[] = {{STR("apikey"), client->address->key},
                                {STR("Authorization"), client->authorization},
                                {STR("Content-Type"), STR("application/json")},
                                {STR("Prefer"), prefer}};
    fetch_request_t request = {.method = method,
                               .url = pool_concat(pool, 2, client->address->base_url, path),
                               .headers = headers,
                               .header_count = prefer.len > 0 ? 4 : 3,
                               .body = body,
                               .timeout_ms = client->timeout_ms > 0 ? client->timeout_ms : TIMEOUT_MS,
                               .response_max = RESPONSE_MAX,
                               .ca_file = client->address->ca_file,
                               .addr_policy = TARGET_ANY};
    for (int attempt = 1;; attempt++) {
        fetch_response_t response = {0};
        err_t *err = fetch_perform(client->fetch, pool, &request, &response);
        bool is_unsent = err != NULL && str_eq(err->code, STR("connect"));
        if (err == NULL && response.status >= 200 && response.status < 300) {
            json_t *parsed = NULL;
            if (response.body.len > 0)
                err = read_json(pool, response.body, &LIMITS, &parsed);
            if (out != NULL)
                *out = parsed;
            return err;
        }
        if (err == NULL)
            err = refusal(pool, &response);
        bool is_transient = err->status == 502 || err->status == 503 || err->status == 504;
        if (attempt == ATTEMPTS || !(is_unsent || (is_repeatable && is_transient)))
            return err;
        pause_ms(500 * attempt);
    }
}

err_t *gateway_select(gateway_client_t *client, pool_t *pool, str_t query, json_t **rows)
{
    err_t *err = exchange(client, pool, STR("GET"), pool_concat(pool, 2, STR("/rest/v1/"), query), STR_NULL,
                          STR_NULL, true, rows);
    if (err == NULL && !json_is_array(*rows))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "gateway", "the gateway answered no list");
    return err;
}

err_t *gateway_select_one(gateway_client_t *client, pool_t *pool, str_t query, json_t **row)
{
    json_t *rows = NULL;
    err_t *err = gateway_select(client, pool, query, &rows);
    *row = err == NULL ? json_array_get(rows, 0) : NULL;
    return err;
}

err_t *gateway_write(gateway_client_t *client, pool_t *pool, str_t method, str_t query, const json_t *body,
                     str_t prefer, json_t **rows)
{
    str_t text = body != NULL ? read_json_dump(pool, body) : STR_NULL;
    str_t wish = rows != NULL ? STR("return=representation") : STR("return=minimal");
    if (prefer.len > 0)
        wish = pool_concat(pool, 3, prefer, STR(","), wish);
    bool is_repeatable = !str_eq(method, STR("POST")) || str_find(prefer, STR("resolution="), 0) != SIZE_MAX;
    return exchange(client, pool, method, pool_concat(pool, 2, STR("/rest/v1/"), query), text, wish,
                    is_repeatable, rows);
}

err_t *gateway_user(gateway_client_t *client, pool_t *pool, json_t **user)
{
    err_t *err = exchange(client, pool, STR("GET"), STR("/auth/v1/user"), STR_NULL, STR_NULL, true, user);
    if (err == NULL && !json_is_object(*user))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "gateway", "the gateway answered no object");
    return err;
}

err_t *gateway_jobs_post(gateway_client_t *client, pool_t *pool, str_t path, const json_t *body,
                         bool is_repeatable, json_t **out)
{
    err_t *err = exchange(client, pool, STR("POST"), pool_concat(pool, 2, STR("/jobs/v1/"), path),
                          read_json_dump(pool, body), STR_NULL, is_repeatable, out);
    if (err == NULL && !json_is_object(*out))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "gateway", "the gateway answered no object");
    return err;
}

err_t *gateway_function_post(gateway_client_t *client, pool_t *pool, str_t name, const json_t *body,
                             int timeout_ms, json_t **out)
{
    client->timeout_ms = timeout_ms;
    err_t *err = exchange(client, pool, STR("POST"), pool_concat(pool, 2, STR("/functions/v1/"), name),
                          read_json_dump(pool, body), STR_NULL, false, out);
    client->timeout_ms = 0;
    return err;
}

typedef struct {
    buf_t line;
    void (*on_line)(void *arg, str_t line);
    void *arg;
} line_reader_t;

static bool on_data(void *arg, str_t chunk)
{
    line_reader_t *reader = arg;
    for (size_t i = 0; i < chunk.len; i++) {
        if (chunk.base[i] != '\n') {
            buf_append_char(&reader->line, chunk.base[i]);
            continue;
        }
        reader->on_line(reader->arg, buf_str(&reader->line));
        buf_clear(&reader->line);
    }
    return reader->line.len <= LINE_MAX_BYTES;
}

err_t *gateway_stream(gateway_client_t *client, pool_t *pool, void (*on_line)(void *arg, str_t line),
                      void *arg, const atomic_bool *is_cancelled)
{
    fetch_header_t headers[] = {{STR("apikey"), client->address->key},
                                {STR("Authorization"), client->authorization}};
    line_reader_t reader = {.on_line = on_line, .arg = arg};
    fetch_response_t response = {0};
    fetch_request_t request = {.method = STR("GET"),
                               .url = pool_concat(pool, 2, client->address->base_url, STR("/jobs/v1/stream")),
                               .headers = headers,
                               .header_count = 2,
                               .timeout_ms = STREAM_MS,
                               .ca_file = client->address->ca_file,
                               .addr_policy = TARGET_ANY,
                               .on_data = on_data,
                               .arg = &reader,
                               .is_cancelled = is_cancelled};
    buf_init(&reader.line, NULL, 1024);
    err_t *err = fetch_perform(client->fetch, pool, &request, &response);
    buf_dispose(&reader.line);
    if (err == NULL && response.status != 200)
        err = refusal(pool, &response);
    return err;
}
