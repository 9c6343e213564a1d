#include "db/pg_error.h"

#include "base/buf.h"
#include "base/read_json.h"

/* First match wins; a prefix of five characters is a whole SQLSTATE. `message_prefix` and `message_suffix`
 * restrict a row to messages that begin and end so. Everything else is 400. */
typedef struct {
    const char *sqlstate_prefix;
    uint16_t status;
    const char *message_prefix, *message_suffix;
} status_row_t;

static const status_row_t status_table[] = {
    {"08", 503, "", ""},                           /* connection exception */
    {"09", 500, "", ""},                           /* triggered action exception */
    {"0L", 403, "", ""},                           /* invalid grantor */
    {"0P", 403, "", ""},                           /* invalid role specification */
    {"21000", 400, "", "requires a WHERE clause"}, /* pg-safeupdate */
    {"21000", 500, "", ""},                        /* cardinality violation inside a function or view */
    {"22023", 401, "role", "does not exist"},      /* the token names an unknown role */
    {"23503", 409, "", ""},                        /* foreign key violation */
    {"23505", 409, "", ""},                        /* unique violation */
    {"25006", 405, "", ""},                        /* write in a read-only transaction */
    {"25", 500, "", ""},                           /* invalid transaction state */
    {"28", 403, "", ""},                           /* invalid authorization specification */
    {"2D", 500, "", ""},                           /* invalid transaction termination */
    {"38", 500, "", ""},                           /* external routine exception */
    {"39", 500, "", ""},                           /* external routine invocation exception */
    {"3B", 500, "", ""},                           /* savepoint exception */
    {"40", 500, "", ""},                           /* transaction rollback: deadlock, serialization */
    {"42883", 406, "function xmlagg(", ""},        /* XML asked of something that is none */
    {"42883", 404, "", ""},                        /* undefined function */
    {"42P01", 404, "", ""},                        /* undefined table */
    {"42P17", 500, "", ""},                        /* infinite recursion in a policy */
    {"53400", 500, "", ""},                        /* configuration limit exceeded */
    {"53", 503, "", ""},                           /* insufficient resources */
    {"54", 500, "", ""},                           /* program limit exceeded */
    {"55", 500, "", ""},                           /* object not in prerequisite state */
    {"57P01", 503, "", ""},                        /* terminated by an administrator */
    {"57", 500, "", ""},                           /* operator intervention, statement timeout */
    {"58", 500, "", ""},                           /* system error */
    {"F0", 500, "", ""},                           /* configuration file error */
    {"HV", 500, "", ""},                           /* foreign data wrapper error */
    {"P0001", 400, "", ""},                        /* RAISE without a code */
    {"P0", 500, "", ""},                           /* PL/pgSQL error */
    {"XX", 500, "", ""},                           /* internal error */
};

/* An HTTP status that can be sent; anything else becomes 500. */
static uint16_t sane_status(int64_t status)
{
    return status >= 200 && status <= 599 ? (uint16_t)status : 500;
}

uint16_t pg_error_status(str_t sqlstate, str_t message, bool is_anonymous)
{
    if (str_eq(sqlstate, STR("42501")))
        return is_anonymous ? 401 : 403;
    if (str_starts_with(sqlstate, STR("PT"))) {
        int64_t status;
        return str_to_int64(str_slice(sqlstate, 2, sqlstate.len), &status) ? sane_status(status) : 500;
    }
    for (size_t i = 0; i < sizeof(status_table) / sizeof(status_table[0]); i++) {
        const status_row_t *row = &status_table[i];
        if (str_starts_with(sqlstate, str_from_c(row->sqlstate_prefix)) &&
            str_starts_with(message, str_from_c(row->message_prefix)) &&
            str_ends_with(message, str_from_c(row->message_suffix)))
            return row->status;
    }
    return 400;
}

/* Headers that belong to a status, unless the error brings its own. */
static void add_status_headers(err_t *err)
{
    if (err->status == 503)
        err->headers = STR("Retry-After: 1\r\n");
    else if (err->status == 401)
        err->headers = STR("WWW-Authenticate: Bearer\r\n");
}

static err_t *make(pool_t *pool, uint16_t status, err_family_t family, str_t code, str_t message)
{
    err_t *err = POOL_NEW(pool, err_t);
    err->status = status;
    err->family = family;
    err->code = pool_str(pool, code);
    err->message = pool_str(pool, message);
    add_status_headers(err);
    return err;
}

static str_t copy_or_null(pool_t *pool, str_t s)
{
    return str_is_null(s) ? s : pool_str(pool, s);
}

/* RAISE SQLSTATE 'PGRST' whose MESSAGE or DETAIL is not the JSON that it must be. */
static err_t *raise_malformed(pool_t *pool, const char *field, str_t value)
{
    err_t *err = make(pool, 500, ERR_FAMILY_REQUEST, STR("PGRST121"),
                      STR("Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"));
    err->details = str_is_null(value)
                       ? STR("DETAIL is missing in the RAISE statement")
                       : pool_printf(pool, "Invalid JSON value for %s: '%.*s'", field, STR_ARG(value));
    err->hint =
        strcmp(field, "MESSAGE") == 0
            ? STR("MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: "
                  "'details', 'hint'.")
            : STR("DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: "
                  "'status_text'.");
    return err;
}

static bool is_optional_string(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value) || json_is_string(value);
}

static bool is_header_text(const char *text, size_t len, bool is_name)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == 0x7f || (is_name && (c == ' ' || c == ':')))
            return false;
    }
    return !is_name || len > 0;
}

/* {"Name": "value"} as header lines. False when a value is no string or would break the head apart. */
static bool raise_headers(pool_t *pool, json_t *headers, str_t *out)
{
    buf_t lines;
    buf_init(&lines, pool, 64);
    const char *name;
    json_t *value;
    json_object_foreach(headers, name, value)
    {
        if (!json_is_string(value) || !is_header_text(name, strlen(name), true) ||
            !is_header_text(json_string_value(value), json_string_length(value), false))
            return false;
        buf_append_str(&lines, str_from_c(name));
        buf_append_lit(&lines, ": ");
        buf_append(&lines, json_string_value(value), json_string_length(value));
        buf_append_lit(&lines, "\r\n");
    }
    *out = lines.len > 0 ? buf_str(&lines) : STR_NULL;
    return true;
}

/* Full control over the answer from SQL: MESSAGE carries the body, DETAIL status and headers, both as JSON.
 */
static err_t *raise_custom(pool_t *pool, str_t message, str_t details)
{
    json_t *body, *head;
    if (read_json(pool, message, NULL, &body) != NULL || !json_is_object(body) ||
        str_is_null(read_json_str(body, "code")) || str_is_null(read_json_str(body, "message")) ||
        !is_optional_string(body, "details") || !is_optional_string(body, "hint"))
        return raise_malformed(pool, "MESSAGE", message);
    str_t headers = STR_NULL;
    if (str_is_null(details) || read_json(pool, details, NULL, &head) != NULL || !json_is_object(head) ||
        !json_is_integer(json_object_get(head, "status")) || !is_optional_string(head, "status_text") ||
        read_json_object(head, "headers") == NULL ||
        !raise_headers(pool, read_json_object(head, "headers"), &headers))
        return raise_malformed(pool, "DETAIL", details);
    err_t *err = make(pool, sane_status(read_json_int(head, "status", 500)), ERR_FAMILY_DATABASE,
                      read_json_str(body, "code"), read_json_str(body, "message"));
    err->details = copy_or_null(pool, read_json_str(body, "details"));
    err->hint = copy_or_null(pool, read_json_str(body, "hint"));
    err->headers = headers;
    err->reason = copy_or_null(pool, read_json_str(head, "status_text"));
    return err;
}

err_t *pg_error_from_fields(pool_t *pool, str_t sqlstate, str_t message, str_t details, str_t hint,
                            bool is_anonymous)
{
    if (str_eq(sqlstate, STR("PGRST")))
        return raise_custom(pool, message, details);
    err_t *err =
        make(pool, pg_error_status(sqlstate, message, is_anonymous), ERR_FAMILY_DATABASE, sqlstate, message);
    err->details = copy_or_null(pool, details);
    err->hint = copy_or_null(pool, hint);
    int64_t status; /* the peer's way to word a status of one's own */
    if (str_starts_with(sqlstate, STR("PT")) && str_to_int64(str_slice(sqlstate, 2, sqlstate.len), &status) &&
        status == err->status)
        err->reason = err->message;
    return err;
}

pg_fields_t pg_fields_of_result(const PGresult *result)
{
    return (pg_fields_t){
        .severity = str_from_c(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED)),
        .sqlstate = str_from_c(PQresultErrorField(result, PG_DIAG_SQLSTATE)),
        .message = str_from_c(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)),
        .details = str_from_c(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL)),
        .hint = str_from_c(PQresultErrorField(result, PG_DIAG_MESSAGE_HINT)),
        .function = str_from_c(PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION)),
        .text = str_from_c(PQresultErrorMessage(result)),
    };
}

err_t *pg_error_make(pool_t *pool, const pg_fields_t *fields, bool is_anonymous)
{
    if (str_is_null(fields->sqlstate))
        return pg_error_lost_connection(pool, fields->text);
    return pg_error_from_fields(pool, fields->sqlstate, fields->message, fields->details, fields->hint,
                                is_anonymous);
}

err_t *pg_error_from_result(pool_t *pool, const PGresult *result, bool is_anonymous)
{
    pg_fields_t fields = pg_fields_of_result(result);
    return pg_error_make(pool, &fields, is_anonymous);
}

static err_t *connection_error(pool_t *pool, uint16_t status, err_family_t family, str_t code, str_t message,
                               str_t details)
{
    err_t *err = make(pool, status, family, code, message);
    details = str_trim(details);
    err->details = details.len > 0 ? pool_str(pool, details) : STR_NULL;
    return err;
}

err_t *pg_error_no_connection(pool_t *pool, str_t details)
{
    return connection_error(pool, 503, ERR_FAMILY_DATABASE, STR("PGRST000"),
                            STR("Database connection error."), details);
}

err_t *pg_error_lost_connection(pool_t *pool, str_t details)
{
    return connection_error(pool, 503, ERR_FAMILY_DATABASE, STR("PGRST001"),
                            STR("Database client error. Retrying the connection."), details);
}

err_t *pg_error_queue_full(pool_t *pool)
{
    return connection_error(pool, 503, ERR_FAMILY_OVERLOAD, STR("PGRST003"),
                            STR("Too many requests are waiting for a database connection."), STR_NULL);
}

err_t *pg_error_acquire_timeout(pool_t *pool)
{
    return connection_error(pool, 504, ERR_FAMILY_OVERLOAD, STR("PGRST003"),
                            STR("Timed out acquiring connection from connection pool."), STR_NULL);
}

/* Source function names are not translated, messages are. */
pg_stale_t pg_error_stale_plan(const pg_fields_t *fields)
{
    if (str_eq(fields->sqlstate, STR("26000")))
        return PG_STALE_FORGOTTEN;
    bool is_changed =
        str_eq(fields->sqlstate, STR("0A000")) && str_eq(fields->function, STR("RevalidateCachedQuery"));
    return is_changed ? PG_STALE_CHANGED : PG_STALE_NOT;
}
