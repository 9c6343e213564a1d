#include "drivers/redfish/client.h"

#include "base/crypt.h"
#include "base/emit.h"

#include <stdlib.h>

#define SESSIONS "/redfish/v1/SessionService/Sessions"

static bool may_fall_back(const err_t *err)
{
    /* No session service, or no free slot: the device still takes Basic. */
    return err->status == 404 || err->status == 405 || err->status == 501 || err->status == 503;
}

static str_t build_login(pool_t *pool, const redfish_t *redfish)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "UserName", redfish->options.username);
    emit_kv_string(&emit, "Password", str_from_c(redfish->password));
    emit_object_end(&emit);
    return buf_str(&out);
}

err_t *redfish_open(redfish_t *redfish, pool_t *pool)
{
    fetch_response_t response;
    json_t *body = NULL;
    redfish_call_t call = {.operation = REDFISH_SESSION_CREATE,
                           .method = STR("POST"),
                           .path = STR(SESSIONS),
                           .auth = REDFISH_AUTH_NONE,
                           .body = build_login(pool, redfish),
                           .connect_timeout_ms = redfish->options.is_legacy_tls ? 10000 : 5000,
                           .timeout_ms = 15000};
    err_t *err = redfish_exchange(redfish, pool, &call, &response, &body);
    crypt_wipe((char *)call.body.base, call.body.len);
    if (err != NULL && !(response.status > 0 && may_fall_back(err)))
        return err;
    str_t token = fetch_header(&response, STR("X-Auth-Token"));
    str_t location = redfish_link_path(fetch_header(&response, STR("Location")));
    if (err != NULL || token.len == 0 || location.len == 0) {
        redfish->auth = REDFISH_AUTH_BASIC;
        return NULL;
    }
    crypt_forget(redfish->token);
    redfish->token = strndup(token.base, token.len);
    redfish->session_path = pool_str(redfish->pool, location);
    redfish->auth = REDFISH_AUTH_SESSION;
    return NULL;
}

str_t redfish_session_path(const redfish_t *redfish)
{
    return redfish->token != NULL ? redfish->session_path : STR_NULL;
}

void redfish_drop_session(redfish_t *redfish, pool_t *pool, str_t path)
{
    fetch_response_t response;
    json_t *body = NULL;
    redfish_call_t call = {.operation = REDFISH_SESSION_DELETE,
                           .method = STR("DELETE"),
                           .path = redfish_link_path(path),
                           .auth = redfish->auth,
                           .is_idempotent = true,
                           .timeout_ms = 10000};
    if (call.path.len == 0 || str_eq(path, redfish_session_path(redfish)))
        return;
    err_t *err = redfish_exchange(redfish, pool, &call, &response, &body);
    (void)err; /* mostly 404: the device has ended it meanwhile */
}

/* A leaked session locks the operator out after eight of them, so this also runs when the job is cancelled.
 */
static void close_session(redfish_t *redfish)
{
    fetch_response_t response;
    json_t *body = NULL;
    pool_t *pool = pool_create();
    bool has_deadline = redfish->options.deadline_us != 0;
    redfish->options.is_cancelled = NULL;
    redfish->options.is_guard_forced = true;
    redfish->options.deadline_us = 0;
    redfish_call_t call = {.operation = REDFISH_SESSION_DELETE,
                           .method = STR("DELETE"),
                           .path = redfish->session_path,
                           .auth = REDFISH_AUTH_SESSION,
                           .is_idempotent = true,
                           .timeout_ms = has_deadline ? 3000 : 10000}; /* somebody waits */
    redfish->options.attempts_max = has_deadline ? 1 : 2;
    err_t *err = redfish_exchange(redfish, pool, &call, &response, &body);
    (void)err; /* it is in the record; the device ends idle sessions by itself */
    pool_destroy(pool);
}

void redfish_destroy(redfish_t *redfish)
{
    if (redfish == NULL)
        return;
    if (redfish->token != NULL) {
        close_session(redfish);
        crypt_forget(redfish->token);
    }
    crypt_forget(redfish->password);
    fetch_destroy(redfish->fetch);
    pool_destroy(redfish->pool);
}
