#include "base/emit.h"
#include "rest/errors.h"
#include "rest/media.h"
#include "rest/parse.h"

#include <stdlib.h>

static bool is_call(const rest_request_t *request)
{
    return request->action == REST_ACTION_CALL;
}

bool rest_begins_object(str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t\r\n", text.base[i]) == NULL || text.base[i] == '\0')
            return text.base[i] == '{';
    return false;
}

/* Takes checked JSON text; `uneven` is the complaint about differing keys. */
static err_t *take_json(const rest_settings_t *settings, pool_t *pool, str_t text, const char *uneven,
                        rest_request_t *out)
{
    rest_body_t body =
        rest_check_json(pool, text, settings->json_depth_max, &out->columns, &out->column_count);
    out->payload = (rest_payload_t){.kind = REST_PAYLOAD_JSON, .text = text};
    switch (body) {
    case REST_BODY_INVALID:
        return rest_error(pool, REST_ERR_BODY, STR("Empty or invalid json"));
    case REST_BODY_UNEVEN:
        return rest_error(pool, REST_ERR_BODY, str_from_c(uneven));
    case REST_BODY_EMPTY:
        out->payload.text = STR("[]");
        break;
    case REST_BODY_OBJECT:
        out->payload.is_object = true;
        break;
    case REST_BODY_ARRAY:
        break;
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const rest_pair_t *)a)->name, ((const rest_pair_t *)b)->name);
}

/* Sorted unique names of pairs become the columns; of equal names the last value stays in `kept` (when
 * given). */
static void columns_of_pairs(pool_t *pool, const rest_pair_t *pairs, uint32_t count, rest_pair_t *kept,
                             rest_request_t *out)
{
    rest_pair_t *sorted = kept;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = 0;
        while (j < n && !str_eq(sorted[j].name, pairs[i].name))
            j++;
        sorted[j] = pairs[i];
        n += j == n;
    }
    if (n > 1)
        qsort(sorted, n, sizeof(*sorted), by_name);
    str_t *names = POOL_ARRAY(pool, str_t, n + 1);
    for (uint32_t i = 0; i < n; i++)
        names[i] = sorted[i].name;
    out->columns = names;
    out->column_count = n;
}

#define FORM_PAIRS_MAX 1000

static err_t *take_form(pool_t *pool, str_t body, rest_request_t *out)
{
    uint32_t count;
    if (!str_is_utf8(body))
        return rest_error(pool, REST_ERR_BODY, STR("Empty or invalid form"));
    const rest_pair_t *pairs = rest_parse_form(pool, body, FORM_PAIRS_MAX, &count);
    if (count > FORM_PAIRS_MAX)
        return rest_error(pool, REST_ERR_BODY, STR("Too many form fields"));
    for (uint32_t i = 0; i < count; i++)
        if (!str_is_utf8(pairs[i].name) || !str_is_utf8(pairs[i].value))
            return rest_error(pool, REST_ERR_BODY, STR("Empty or invalid form"));
    rest_pair_t *kept = POOL_ARRAY(pool, rest_pair_t, count + 1);
    columns_of_pairs(pool, pairs, count, kept, out);
    if (is_call(out)) {
        out->payload =
            (rest_payload_t){.kind = REST_PAYLOAD_FORM, .text = body, .pairs = pairs, .pair_count = count};
        return NULL;
    }
    buf_t json;
    buf_init(&json, pool, body.len * 2 + 16);
    buf_append_char(&json, '{');
    for (uint32_t i = 0; i < out->column_count; i++) {
        if (i > 0)
            buf_append_char(&json, ',');
        emit_json_string(&json, kept[i].name);
        buf_append_char(&json, ':');
        emit_json_string(&json, kept[i].value);
    }
    buf_append_char(&json, '}');
    out->payload = (rest_payload_t){.kind = REST_PAYLOAD_JSON, .text = buf_str(&json), .is_object = true};
    return NULL;
}

static err_t *take_csv(const rest_settings_t *settings, pool_t *pool, str_t body, rest_request_t *out)
{
    str_t json = str_is_utf8(body) ? rest_csv_to_json(pool, body) : STR_NULL;
    if (str_is_null(json))
        return rest_error(pool, REST_ERR_BODY,
                          body.len == 0 ? STR("not enough input") : STR("parse error (malformed CSV)"));
    return take_json(settings, pool, json, "All lines must have same number of fields", out);
}

err_t *rest_parse_payload(const rest_settings_t *settings, pool_t *pool, str_t body, rest_request_t *out)
{
    bool is_write = out->action == REST_ACTION_CREATE || out->action == REST_ACTION_UPDATE ||
                    out->action == REST_ACTION_UPSERT || is_call(out);
    bool has_columns = out->has_columns_param && out->action != REST_ACTION_UPSERT && is_write;
    const str_t *columns = out->columns;
    uint32_t column_count = out->column_count;
    out->has_columns_param = has_columns;
    out->columns = NULL;
    out->column_count = 0;
    if (!is_write)
        return NULL;
    switch (out->content_type.kind) {
    case REST_MEDIA_JSON:
        if (has_columns) {
            out->payload = (rest_payload_t){
                .kind = REST_PAYLOAD_RAW_JSON, .text = body, .is_object = rest_begins_object(body)};
            out->columns = columns;
            out->column_count = column_count;
            return NULL;
        }
        if (body.len == 0 && is_call(out))
            body = STR("{}");
        return take_json(settings, pool, body, "All object keys must match", out);
    case REST_MEDIA_CSV:
        return take_csv(settings, pool, body, out);
    case REST_MEDIA_FORM:
        return take_form(pool, body, out);
    case REST_MEDIA_TEXT:
    case REST_MEDIA_XML:
    case REST_MEDIA_OCTETS:
        if (is_call(out)) {
            out->payload = (rest_payload_t){.kind = REST_PAYLOAD_RAW, .text = body};
            return NULL;
        }
        break;
    default:
        break;
    }
    str_t mime = rest_media_mime(pool, &out->content_type);
    return rest_error(pool, REST_ERR_BODY, pool_concat(pool, 2, STR("Content-Type not acceptable: "), mime));
}
