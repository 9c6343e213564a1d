#include "drivers/redfish/client.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/rand.h"
#include "base/read_json.h"

#include <stdlib.h>
#include <time.h>

enum { WAIT_MAX_MS = 60000, RESPONSE_MAX = 8 << 20, HEADERS_MAX = 6 };

static str_t base_url(pool_t *pool, str_t address)
{
    bool is_bare_v6 = str_find_char(address, ':', 0) != SIZE_MAX && address.base[0] != '[' &&
                      str_find_char(address, ':', str_find_char(address, ':', 0) + 1) != SIZE_MAX;
    return pool_printf(pool, is_bare_v6 ? "https://[%.*s]" : "https://%.*s", STR_ARG(address));
}

redfish_t *redfish_create(const redfish_options_t *options)
{
    pool_t *pool = pool_create();
    redfish_t *redfish = POOL_NEW(pool, redfish_t);
    redfish->pool = pool;
    redfish->options = *options;
    redfish->options.address = pool_str(pool, options->address);
    redfish->options.username = pool_str(pool, options->username);
    redfish->options.password = STR_NULL;
    redfish->password = crypt_keep(options->password);
    redfish->base_url = base_url(pool, options->address);
    redfish->fetch = fetch_create();
    redfish->auth = REDFISH_AUTH_BASIC;
    return redfish;
}

void redfish_use_legacy_tls(redfish_t *redfish)
{
    redfish->options.is_legacy_tls = true;
}

static int wait_ms_of(const redfish_t *redfish, const fetch_response_t *response, int attempt)
{
    int64_t after = 0;
    if (response->status > 0 && str_to_int64(str_trim(fetch_header(response, STR("Retry-After"))), &after) &&
        after >= 0)
        return after > WAIT_MAX_MS / 1000 ? WAIT_MAX_MS : (int)after * 1000;
    int64_t wait = redfish->options.retry_delay_ms > 0 ? redfish->options.retry_delay_ms : 2000;
    for (int i = 1; i < attempt && wait < WAIT_MAX_MS; i++)
        wait *= 2;
    wait += wait * (int64_t)(rand_uint64() % 31) / 100; /* up to 30 % jitter */
    return wait > WAIT_MAX_MS ? WAIT_MAX_MS : (int)wait;
}

/* False when cancelled meanwhile. */
static bool sleep_ms(const redfish_t *redfish, int ms)
{
    int64_t due = clock_mono_us() + (int64_t)ms * 1000;
    for (;;) {
        if (redfish->options.is_cancelled != NULL && *redfish->options.is_cancelled)
            return false;
        int64_t left = due - clock_mono_us();
        if (left <= 0)
            return true;
        int64_t nap = left < 200000 ? left : 200000;
        nanosleep(&(struct timespec){.tv_sec = 0, .tv_nsec = nap * 1000}, NULL);
    }
}

static size_t build_headers(const redfish_t *redfish, const redfish_call_t *call, fetch_header_t *headers)
{
    size_t count = 0;
    headers[count++] = (fetch_header_t){STR("Accept"), STR("application/json")};
    headers[count++] = (fetch_header_t){STR("OData-Version"), STR("4.0")};
    if (!str_is_null(call->body))
        headers[count++] = (fetch_header_t){STR("Content-Type"), STR("application/json")};
    if (call->auth == REDFISH_AUTH_SESSION && redfish->token != NULL)
        headers[count++] = (fetch_header_t){STR("X-Auth-Token"), str_from_c(redfish->token)};
    return count;
}

static void record(const redfish_t *redfish, const redfish_call_t *call, const fetch_request_t *request,
                   const fetch_response_t *response, const err_t *err)
{
    if (redfish->options.on_record == NULL)
        return;
    redfish_record_t made = {.operation = call->operation,
                             .method = call->method,
                             .path = call->path,
                             .url = request->url,
                             .headers = request->headers,
                             .header_count = request->header_count,
                             .request_body = call->body,
                             .status = response->status,
                             .response_body = response->body,
                             .elapsed_us = response->elapsed_us,
                             .is_success = err == NULL,
                             .error = err != NULL ? err->message : STR_NULL};
    redfish->options.on_record(redfish->options.arg, &made);
}

/* What the end of a call says about the device. A session that it does not know any more is no refused
 * password: restarts end sessions. */
static redfish_guard_outcome_t outcome_of(const redfish_call_t *call, const err_t *err)
{
    if (err == NULL)
        return REDFISH_GUARD_GOOD;
    if (str_eq(err->code, STR("auth")))
        return call->auth == REDFISH_AUTH_SESSION ? REDFISH_GUARD_NEUTRAL : REDFISH_GUARD_REFUSED;
    if (str_eq(err->code, STR("not_supported")) || str_eq(err->code, STR("conflict")) ||
        str_eq(err->code, STR("cancelled")) || str_eq(err->code, STR("address")) || err->status == 400)
        return REDFISH_GUARD_NEUTRAL;
    return REDFISH_GUARD_UNWELL;
}

static err_t *enter(const redfish_t *redfish, pool_t *pool)
{
    int64_t wait_ms = 0;
    const redfish_options_t *options = &redfish->options;
    if (options->guard == NULL)
        return NULL;
    switch (redfish_guard_enter(options->guard, options->address, options->is_guard_forced,
                                options->is_cancelled, &wait_ms)) {
    case REDFISH_GUARD_ENTERED:
        return NULL;
    case REDFISH_GUARD_CANCELLED:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "cancelled", "cancelled");
    default:
        return err_make(pool, 503, ERR_FAMILY_UPSTREAM, "breaker",
                        "%.*s failed too often lately and is left alone for another %lld s",
                        STR_ARG(options->address), (long long)(wait_ms / 1000 + 1));
    }
}

static int timeout_of(const redfish_options_t *options, const redfish_call_t *call)
{
    int timeout_ms = call->timeout_ms > 0      ? call->timeout_ms
                     : options->timeout_ms > 0 ? options->timeout_ms
                                               : 30000;
    if (options->deadline_us == 0)
        return timeout_ms;
    int64_t left_ms = (options->deadline_us - clock_mono_us()) / 1000;
    return left_ms < 1 ? 1 : left_ms < timeout_ms ? (int)left_ms : timeout_ms;
}

static bool may_repeat(const redfish_t *redfish, const redfish_call_t *call, int attempt, const err_t *err)
{
    int attempts_max = redfish->options.attempts_max > 0 ? redfish->options.attempts_max : 3;
    if (err == NULL || attempt >= attempts_max || str_eq(err->code, STR("breaker")))
        return false;
    return call->is_idempotent ? redfish_is_transient(err) : str_eq(err->code, STR("connect")); /* not sent */
}

static err_t *exchange_once(redfish_t *redfish, pool_t *pool, const redfish_call_t *call, int attempt,
                            fetch_response_t *response, json_t **body)
{
    const redfish_options_t *options = &redfish->options;
    *response = (fetch_response_t){0};
    *body = NULL;
    err_t *err = enter(redfish, pool);
    if (err != NULL)
        return err;
    fetch_header_t headers[HEADERS_MAX];
    bool is_basic = call->auth == REDFISH_AUTH_BASIC;
    int connect_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms
                                                     : (options->is_legacy_tls ? 10000 : 5000);
    fetch_request_t request = {
        .method = call->method,
        .url = pool_concat(pool, 2, redfish->base_url, call->path),
        .headers = headers,
        .header_count = build_headers(redfish, call, headers),
        .body = call->body,
        .username = is_basic ? options->username : STR_NULL,
        .password = is_basic ? str_from_c(redfish->password) : STR_NULL,
        .connect_timeout_ms = call->connect_timeout_ms > 0 ? call->connect_timeout_ms : connect_ms,
        .timeout_ms = timeout_of(options, call),
        .response_max = RESPONSE_MAX,
        .is_tls_unverified = !options->is_verified,
        .is_tls_legacy = options->is_legacy_tls,
        .addr_policy = options->addr_policy,
        /* What changes the device is not broken off: its outcome would never be known, a session never given
           back. */
        .is_cancelled = call->is_idempotent ? options->is_cancelled : NULL,
    };
    err_t *failed = fetch_perform(redfish->fetch, pool, &request, response);
    if (failed != NULL) {
        response->status = 0;
        err = redfish_explain_fetch(pool, call, failed);
    } else {
        err = redfish_classify(pool, call, response, body);
    }
    if (options->guard != NULL) /* the last attempt speaks for the call */
        redfish_guard_leave(options->guard, options->address,
                            may_repeat(redfish, call, attempt, err) ? REDFISH_GUARD_NEUTRAL
                                                                    : outcome_of(call, err));
    record(redfish, call, &request, response, err);
    return err;
}

err_t *redfish_exchange(redfish_t *redfish, pool_t *pool, const redfish_call_t *call,
                        fetch_response_t *response, json_t **body)
{
    for (int attempt = 1;; attempt++) {
        err_t *err = exchange_once(redfish, pool, call, attempt, response, body);
        if (!may_repeat(redfish, call, attempt, err) ||
            !sleep_ms(redfish, wait_ms_of(redfish, response, attempt)))
            return err;
    }
}

static redfish_operation_t operation_of(const redfish_t *redfish)
{
    return redfish->auth == REDFISH_AUTH_BASIC ? REDFISH_API_FALLBACK : REDFISH_API;
}

err_t *redfish_get(redfish_t *redfish, pool_t *pool, str_t path, json_t **out)
{
    fetch_response_t response;
    redfish_call_t call = {.operation = operation_of(redfish),
                           .method = STR("GET"),
                           .path = path,
                           .auth = redfish->auth,
                           .is_idempotent = true};
    err_t *err = redfish_exchange(redfish, pool, &call, &response, out);
    if (err == NULL || response.status != 401 || redfish->token == NULL || redfish->is_renewed)
        return err;
    /* The session ended under us (the device restarted, or somebody cleared it): one new one, one repetition.
     */
    redfish->is_renewed = true;
    crypt_forget(redfish->token);
    redfish->token = NULL;
    str_t former = redfish->session_path;
    err_t *again = redfish_open(redfish, pool);
    if (again != NULL)
        return again;
    redfish_drop_session(redfish, pool, former); /* if it was not gone after all */
    call.operation = operation_of(redfish);
    call.auth = redfish->auth;
    return redfish_exchange(redfish, pool, &call, &response, out);
}

err_t *redfish_probe(redfish_t *redfish, pool_t *pool, json_t **out)
{
    fetch_response_t response;
    redfish_call_t call = {.operation = REDFISH_API,
                           .method = STR("GET"),
                           .path = STR("/redfish/v1/"),
                           .auth = REDFISH_AUTH_NONE,
                           .is_idempotent = true};
    return redfish_exchange(redfish, pool, &call, &response, out);
}

static err_t *write_call(redfish_t *redfish, pool_t *pool, str_t method, str_t path, json_t *body,
                         redfish_answer_t *out)
{
    fetch_response_t response;
    json_t *answer = NULL;
    redfish_call_t call = {.operation = operation_of(redfish),
                           .method = method,
                           .path = path,
                           .auth = redfish->auth,
                           .body = body != NULL ? read_json_dump(pool, body) : STR("{}")};
    err_t *err = redfish_exchange(redfish, pool, &call, &response, &answer);
    if (out != NULL)
        *out = (redfish_answer_t){.status = response.status,
                                  .location = redfish_link_path(fetch_header(&response, STR("Location"))),
                                  .body = answer};
    return err;
}

err_t *redfish_post(redfish_t *redfish, pool_t *pool, str_t path, json_t *body, redfish_answer_t *out)
{
    return write_call(redfish, pool, STR("POST"), path, body, out);
}

err_t *redfish_patch(redfish_t *redfish, pool_t *pool, str_t path, json_t *body, redfish_answer_t *out)
{
    return write_call(redfish, pool, STR("PATCH"), path, body, out);
}

const char *redfish_operation_name(redfish_operation_t operation)
{
    switch (operation) {
    case REDFISH_SESSION_CREATE:
        return "session_create";
    case REDFISH_SESSION_DELETE:
        return "session_delete";
    case REDFISH_API_FALLBACK:
        return "idrac_api_fallback";
    default:
        return "idrac_api";
    }
}
