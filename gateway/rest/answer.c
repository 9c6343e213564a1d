#include "rest/answer.h"

#include "base/read_json.h"
#include "rest/errors.h"

void rest_answer_header(rest_answer_t *answer, str_t name, str_t value)
{
    if (answer->header_count < REST_HEADERS_MAX)
        answer->headers[answer->header_count++] = (rest_pair_t){name, value};
}

/* ---- overrides ---- */

static err_t *override_status(pool_t *pool, str_t text, rest_answer_t *answer)
{
    size_t digits = 0;
    int status = 0;
    while (digits < text.len && digits < 4 && text.base[digits] >= '0' && text.base[digits] <= '9')
        status = status * 10 + (text.base[digits++] - '0');
    if (digits == 0 || status < 200 || status > 599)
        return rest_error(pool, REST_ERR_GUC_STATUS, STR_NULL);
    answer->status = status;
    return NULL;
}

static void remove_own(rest_answer_t *answer, size_t own_count, str_t name)
{
    if (str_eq_nocase(name, STR("content-type")))
        answer->content_type = STR_NULL;
    for (size_t i = 0; i < own_count; i++)
        if (str_eq_nocase(answer->headers[i].name, name))
            answer->headers[i].name = STR_NULL;
}

static err_t *override_headers(pool_t *pool, str_t text, rest_answer_t *answer)
{
    json_t *root = NULL;
    err_t *err = read_json(pool, text, NULL, &root);
    if (err != NULL || !json_is_array(root))
        return rest_error(pool, REST_ERR_GUC_HEADERS, STR_NULL);
    size_t own_count = answer->header_count, index;
    json_t *item;
    json_array_foreach(root, index, item)
    {
        void *member = json_is_object(item) && json_object_size(item) == 1 ? json_object_iter(item) : NULL;
        const json_t *value = member != NULL ? json_object_iter_value(member) : NULL;
        if (!json_is_string(value))
            return rest_error(pool, REST_ERR_GUC_HEADERS, STR_NULL);
        str_t name = str_from_c(json_object_iter_key(member));
        remove_own(answer, own_count, name);
        if (!str_eq_nocase(name, STR("content-length")) && !str_eq_nocase(name, STR("transfer-encoding")))
            rest_answer_header(answer, name, str_make(json_string_value(value), json_string_length(value)));
    }
    return NULL;
}

err_t *rest_answer_override(pool_t *pool, const rest_result_t *result, rest_answer_t *answer)
{
    if (!str_is_null(result->status)) {
        err_t *err = override_status(pool, result->status, answer);
        if (err != NULL)
            return err;
    }
    return str_is_null(result->headers) ? NULL : override_headers(pool, result->headers, answer);
}

/* ---- Preference-Applied ---- */

static void add_preference(buf_t *out, str_t text)
{
    if (text.len == 0)
        return;
    if (out->len > 0)
        buf_append_lit(out, ", ");
    buf_append_str(out, text);
}

static bool is_mutation(rest_action_t action)
{
    return action == REST_ACTION_CREATE || action == REST_ACTION_UPDATE || action == REST_ACTION_UPSERT ||
           action == REST_ACTION_DELETE;
}

str_t rest_preference_applied(pool_t *pool, const rest_request_t *request, const rest_plan_t *plan)
{
    static const str_t RESOLUTION[] = {STR(""), STR("resolution=merge-duplicates"),
                                       STR("resolution=ignore-duplicates")};
    static const str_t MISSING[] = {STR(""), STR("missing=default"), STR("missing=null")};
    static const str_t RETURN[] = {STR(""), STR("return=representation"), STR("return=headers-only"),
                                   STR("return=minimal")};
    static const str_t COUNT[] = {STR(""), STR("count=exact"), STR("count=planned"), STR("count=estimated")};
    static const str_t TX[] = {STR(""), STR("tx=commit"), STR("tx=rollback")};
    static const str_t HANDLING[] = {STR(""), STR("handling=strict"), STR("handling=lenient")};
    const rest_preferences_t *prefer = &request->prefer;
    rest_action_t action = request->action;
    bool is_call = action == REST_ACTION_CALL || action == REST_ACTION_CALL_READ;
    buf_t out;
    buf_init(&out, pool, 64);
    if (action == REST_ACTION_CREATE && (plan->has_primary_key || request->has_on_conflict))
        add_preference(&out, RESOLUTION[prefer->resolution]);
    if (action == REST_ACTION_CREATE || action == REST_ACTION_UPDATE)
        add_preference(&out, MISSING[prefer->missing]);
    if (is_mutation(action))
        add_preference(&out, RETURN[prefer->ret]);
    add_preference(&out, COUNT[prefer->count]);
    add_preference(&out, TX[prefer->tx]);
    add_preference(&out, HANDLING[prefer->handling]);
    if (!str_is_null(prefer->timezone))
        add_preference(&out, pool_concat(pool, 2, STR("timezone="), prefer->timezone));
    if (prefer->has_max_affected && prefer->handling == REST_HANDLING_STRICT &&
        (action == REST_ACTION_UPDATE || action == REST_ACTION_DELETE || is_call))
        add_preference(&out, pool_printf(pool, "max-affected=%lld", (long long)prefer->max_affected));
    return out.len > 0 ? buf_str(&out) : STR_NULL;
}
