#include "drivers/redfish/client.h"

#include "base/read_json.h"

/* Codes of Dell's messages that mean more than their HTTP status. Matched exactly on the last part of
 * MessageId. */
typedef struct {
    const char *code;
    const char *kind;
} message_kind_t;

static const message_kind_t MESSAGE_KINDS[] = {
    {"RAC0508", "busy"}, {"RAC0509", "busy"},         {"SYS424", "busy"},
    {"FWU001", "busy"},  {"JOB001", "busy"},          {"REP001", "busy"},
    {"AUTH001", "auth"}, {"RES001", "not_supported"}, {NULL, NULL},
};

static const char *kind_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return "auth";
    case 404:
    case 405:
    case 501:
        return "not_supported";
    case 409:
        return "conflict";
    case 429:
    case 502:
    case 503:
    case 504:
        return "busy";
    default:
        return "device";
    }
}

/* The first extended message of an error body, or NULL. */
static const json_t *first_message(const json_t *body)
{
    const json_t *error = read_json_object(body, "error");
    const json_t *list = read_json_array(error != NULL ? error : body, "@Message.ExtendedInfo");
    return list != NULL ? json_array_get(list, 0) : NULL;
}

static str_t code_of(str_t message_id)
{
    size_t at = 0;
    for (size_t i = 0; i < message_id.len; i++)
        if (message_id.base[i] == '.')
            at = i + 1;
    return str_slice(message_id, at, message_id.len);
}

static const char *kind_of(int status, str_t code)
{
    /* The status decides first: on real devices SYS403 also means "not found". */
    const char *kind = kind_of_status(status);
    if (strcmp(kind, "device") != 0)
        return kind;
    for (const message_kind_t *row = MESSAGE_KINDS; row->code != NULL; row++)
        if (str_eq(code, str_from_c(row->code)))
            return row->kind;
    return kind;
}

static err_t *refusal(pool_t *pool, const redfish_call_t *call, const fetch_response_t *response,
                      const json_t *body)
{
    const json_t *info = body != NULL ? first_message(body) : NULL;
    str_t text = info != NULL ? read_json_str(info, "Message") : STR_NULL;
    str_t code = info != NULL ? code_of(read_json_str(info, "MessageId")) : STR_NULL;
    const char *kind = kind_of(response->status, code);
    err_t *err;
    if (strcmp(kind, "auth") == 0)
        err = err_make(pool, (uint16_t)response->status, ERR_FAMILY_UPSTREAM, kind,
                       "Authentication failed - invalid credentials (HTTP %d)", response->status);
    else
        err = err_make(pool, (uint16_t)response->status, ERR_FAMILY_UPSTREAM, kind,
                       "%.*s %.*s: HTTP %d%s%.*s", STR_ARG(call->method), STR_ARG(call->path),
                       response->status, text.len > 0 ? ", " : "", STR_ARG(str_slice(text, 0, 500)));
    if (code.len > 0)
        err_details(pool, err, "%.*s", STR_ARG(str_slice(code, 0, 64)));
    return err;
}

err_t *redfish_classify(pool_t *pool, const redfish_call_t *call, const fetch_response_t *response,
                        json_t **body)
{
    static const read_json_limits_t LIMITS = {.size_max = 8u << 20, .depth_max = 64};
    *body = NULL;
    err_t *bad_json = NULL;
    if (response->body.len > 0)
        bad_json = read_json(pool, response->body, &LIMITS, body);
    if (bad_json == NULL && *body != NULL && !json_is_object(*body))
        *body = NULL;
    if (response->status < 200 || response->status > 299)
        return refusal(pool, call, response, *body);
    bool is_get = str_eq(call->method, STR("GET"));
    if (bad_json != NULL || (response->body.len > 0 && *body == NULL) || (is_get && *body == NULL))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                        "%.*s %.*s: the device answered HTTP %d with a body that is not a Redfish object",
                        STR_ARG(call->method), STR_ARG(call->path), response->status);
    return NULL;
}

err_t *redfish_explain_fetch(pool_t *pool, const redfish_call_t *call, const err_t *cause)
{
    const char *kind = pool_cstr(pool, cause->code);
    /* Broken off in the handshake: a restarting device, or one that closes on protocols it does not know. */
    bool is_broken =
        strcmp(kind, "tls") == 0 && str_find(cause->message, STR("SSL_ERROR_SYSCALL"), 0) != SIZE_MAX;
    if (is_broken)
        kind = "connect";
    if (strcmp(kind, "too_large") == 0)
        kind = "protocol";
    err_t *err = err_make(pool, cause->status, ERR_FAMILY_UPSTREAM, kind, "%.*s %.*s: %.*s",
                          STR_ARG(call->method), STR_ARG(call->path), STR_ARG(cause->message));
    return is_broken ? err_details(pool, err, "handshake") : err;
}

bool redfish_is_transient(const err_t *err)
{
    return str_eq(err->code, STR("connect")) || str_eq(err->code, STR("timeout")) ||
           str_eq(err->code, STR("protocol")) || err->status == 502 || err->status == 503 ||
           err->status == 504;
}
