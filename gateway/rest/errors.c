#include "rest/errors.h"

static const struct {
    uint16_t status;
    const char *code;
    const char *before, *after; /* the subject stands between them; `after` NULL: no subject */
} ERRORS[REST_ERR_COUNT] = {
    [REST_ERR_QUERY] = {400, "PGRST100", "", ""},
    [REST_ERR_RPC_METHOD] = {405, "PGRST101", "Cannot use the ", " method on RPC"},
    [REST_ERR_BODY] = {400, "PGRST102", "", ""},
    [REST_ERR_RANGE] = {416, "PGRST103", "Requested range not satisfiable", NULL},
    [REST_ERR_PUT_FILTERS] = {405, "PGRST105",
                              "Filters must include all and only primary key columns with 'eq' operators",
                              NULL},
    [REST_ERR_SCHEMA] = {406, "PGRST106", "Invalid schema: ", ""},
    [REST_ERR_MEDIA] = {406, "PGRST107", "None of these media types are available: ", ""},
    [REST_ERR_NOT_EMBEDDED] = {400, "PGRST108", "'", "' is not an embedded resource in this request"},
    [REST_ERR_GUC_HEADERS] = {500, "PGRST111",
                              "response.headers guc must be a JSON array composed of objects with a single "
                              "key and a string value",
                              NULL},
    [REST_ERR_GUC_STATUS] = {500, "PGRST112", "response.status guc must be a valid status code", NULL},
    [REST_ERR_PUT_LIMIT] = {400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT",
                            NULL},
    [REST_ERR_PUT_KEY] = {400, "PGRST115", "Payload values do not match URL in primary key column(s)", NULL},
    [REST_ERR_SINGULAR] = {406, "PGRST116", "Cannot coerce the result to a single JSON object", NULL},
    [REST_ERR_METHOD] = {405, "PGRST117", "Unsupported HTTP method: ", ""},
    [REST_ERR_RELATED_ORDER] = {400, "PGRST118", "A related order on '", "' is not possible"},
    [REST_ERR_EMBED_FILTER] = {400, "PGRST120", "Bad operator on the '", "' embedded resource"},
    [REST_ERR_PREFERENCES] = {400, "PGRST122", "Invalid preferences given with handling=strict", NULL},
    [REST_ERR_AGGREGATES] = {400, "PGRST123", "Use of aggregate functions is not allowed", NULL},
    [REST_ERR_MAX_AFFECTED] = {400, "PGRST124", "Query result exceeds max-affected preference constraint",
                               NULL},
    [REST_ERR_PATH] = {404, "PGRST125", "Invalid path specified in request URL", NULL},
    [REST_ERR_ROOT_DISABLED] = {404, "PGRST126", "Root endpoint metadata is disabled", NULL},
    [REST_ERR_NOT_IMPLEMENTED] = {400, "PGRST127", "Feature not implemented", NULL},
    [REST_ERR_MAX_AFFECTED_RPC] = {400, "PGRST128",
                                   "Function must return SETOF or TABLE when max-affected preference is used "
                                   "with handling=strict",
                                   NULL},
};

err_t *rest_error(pool_t *pool, rest_error_t error, str_t subject)
{
    const char *after = ERRORS[error].after;
    if (after == NULL)
        return err_make(pool, ERRORS[error].status, ERR_FAMILY_REQUEST, ERRORS[error].code, "%s",
                        ERRORS[error].before);
    return err_make(pool, ERRORS[error].status, ERR_FAMILY_REQUEST, ERRORS[error].code, "%s%.*s%s",
                    ERRORS[error].before, STR_ARG(subject), after);
}

const char *rest_error_code(rest_error_t error)
{
    return ERRORS[error].code;
}
