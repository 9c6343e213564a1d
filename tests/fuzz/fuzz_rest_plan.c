/* From a query string to SQL over a snapshot made by hand. First byte: action; second: target. Whatever the
 * client wrote may stand in the text only between quotes: outside of them are words, numbers, parameters and
 * brackets. */
#include "rest/parse.h"
#include "rest/settings.h"
#include "snapshot_fixture.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void broken(const db_stmt_t *stmt, const char *why)
{
    fprintf(stderr, "%s: %.*s\n", why, (int)stmt->sql.len, stmt->sql.base);
    __builtin_trap();
}

/* Behind the closing quote; a doubled quote does not close. */
static size_t skip_quoted(const db_stmt_t *stmt, size_t at)
{
    str_t sql = stmt->sql;
    for (char quote = sql.base[at++]; at < sql.len; at++) {
        if (sql.base[at] != quote)
            continue;
        if (at + 1 >= sql.len || sql.base[at + 1] != quote)
            return at + 1;
        at++;
    }
    broken(stmt, "quote not closed");
    return at;
}

static size_t check_parameter(const db_stmt_t *stmt, size_t at)
{
    size_t number = 0;
    while (++at < stmt->sql.len && isdigit((unsigned char)stmt->sql.base[at]))
        number = number * 10 + (size_t)(stmt->sql.base[at] - '0');
    if (number == 0 || number > stmt->param_count)
        broken(stmt, "parameter without value");
    return at;
}

static void check_sql(const db_stmt_t *stmt)
{
    str_t sql = stmt->sql;
    int depth = 0;
    for (size_t at = 0; at < sql.len;) {
        char c = sql.base[at];
        if (c == '"' || c == '\'') {
            at = skip_quoted(stmt, at);
            continue;
        }
        if (c == '$') {
            at = check_parameter(stmt, at);
            continue;
        }
        depth += (c == '(') - (c == ')');
        bool is_comment = at + 1 < sql.len &&
                          ((c == '-' && sql.base[at + 1] == '-') || (c == '/' && sql.base[at + 1] == '*'));
        if (depth < 0 || c == ';' || is_comment || c == '\0' || (unsigned char)c >= 0x80)
            broken(stmt, "text of the client outside of quotes");
        at++;
    }
    if (depth != 0)
        broken(stmt, "brackets");
}

static void check_plan(pool_t *pool, const schema_snapshot_t *snapshot, rest_settings_t *settings,
                       const rest_request_t *request)
{
    static const char *const ROLES[] = {"web", "blind", "nobody"};
    for (size_t i = 0; i < 3; i++) {
        identity_t identity = {.role = str_from_c(ROLES[i])};
        rest_plan_t plan;
        err_t *err = rest_plan(settings, pool, request, snapshot, &identity, &plan);
        if (err != NULL && (err->status < 300 || err->status > 416))
            __builtin_trap();
        for (uint32_t k = 0; err == NULL && k < plan.stmt_count; k++)
            check_sql(&plan.stmts[k]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const rest_action_t ACTIONS[] = {REST_ACTION_READ,   REST_ACTION_READ,   REST_ACTION_CALL_READ,
                                            REST_ACTION_CREATE, REST_ACTION_UPDATE, REST_ACTION_DELETE,
                                            REST_ACTION_UPSERT, REST_ACTION_CALL};
    static const char *const TARGETS[] = {"projects",        "clients",       "tasks", "settings",
                                          "project_details", "find_projects", "add",   "summary"};
    static const rest_media_t ACCEPT[] = {{.kind = REST_MEDIA_JSON},
                                          {.kind = REST_MEDIA_CSV},
                                          {.kind = REST_MEDIA_SINGULAR_STRIP},
                                          {.kind = REST_MEDIA_XML}};
    static schema_snapshot_t *snapshot;
    if (size < 3)
        return 0;
    if (snapshot == NULL)
        snapshot = snapshot_fixture();
    pool_t *pool = pool_create();
    rest_settings_t settings;
    rest_settings_default(&settings);
    settings.has_aggregates = true;
    rest_request_t request = {.action = ACTIONS[data[0] & 7],
                              .schema = STR("api"),
                              .target = str_from_c(TARGETS[data[1] & 7]),
                              .accept = &ACCEPT[(data[1] >> 3) & 3],
                              .accept_count = 1};
    request.prefer.ret = (data[0] >> 3) & 1 ? REST_RETURN_FULL : REST_RETURN_MINIMAL;
    request.prefer.count = (data[0] >> 4) & 1 ? REST_COUNT_ESTIMATED : REST_COUNT_NONE;
    request.prefer.resolution = (rest_resolution_t)(((data[0] >> 5) & 3) % 3);
    request.payload = (rest_payload_t){.kind = REST_PAYLOAD_JSON, .text = STR("{}"), .is_object = true};
    rest_query_range_t range;
    str_t query = str_make((const char *)data + 2, size - 2);
    bool is_call = request.action == REST_ACTION_CALL_READ;
    if (rest_parse_query(&settings, pool, query, is_call, &request, &range) == NULL &&
        rest_parse_range(pool, &range, STR_NULL, &request) == NULL)
        check_plan(pool, snapshot, &settings, &request);
    pool_destroy(pool);
    return 0;
}
