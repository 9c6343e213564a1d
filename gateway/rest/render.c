#include "rest/render.h"

#include "base/emit.h"

/* ---- values ---- */

#define TIMESTAMP_DATE_LEN 10 /* YYYY-MM-DD */

/* "2026-01-02 03:04:05.6+00" becomes "2026-01-02T03:04:05.6+00:00". What does not look like it (infinity, BC,
 * years of five digits) keeps its own places for date and time. */
static void append_timestamp(buf_t *out, str_t value)
{
    size_t space = str_find_char(value, ' ', TIMESTAMP_DATE_LEN);
    buf_append_char(out, '"');
    if (space == SIZE_MAX || value.len < space + 9) {
        buf_append_str(out, value);
        buf_append_char(out, '"');
        return;
    }
    buf_append_str(out, str_slice(value, 0, space));
    buf_append_char(out, 'T');
    str_t time = str_slice(value, space + 1, value.len);
    size_t era = str_find_char(time, ' ', 0);
    str_t clock = str_slice(time, 0, era);
    buf_append_str(out, clock);
    bool has_zone = clock.len > 3 && (clock.base[clock.len - 3] == '+' || clock.base[clock.len - 3] == '-');
    if (has_zone)
        buf_append_lit(out, ":00");
    if (era != SIZE_MAX)
        buf_append_str(out, str_slice(time, era, time.len));
    buf_append_char(out, '"');
}

static bool is_number(str_t value)
{
    size_t at = value.len > 0 && value.base[0] == '-' ? 1 : 0;
    return value.len > at && value.base[at] >= '0' && value.base[at] <= '9';
}

void rest_render_value(buf_t *out, rest_rule_t rule, str_t value)
{
    if (str_is_null(value)) {
        buf_append_lit(out, "null");
        return;
    }
    switch (rule) {
    case REST_RULE_COPY:
        buf_append_str(out, value);
        return;
    case REST_RULE_NUMBER:
        if (is_number(value))
            buf_append_str(out, value);
        else
            emit_json_string(out, value);
        return;
    case REST_RULE_BOOL:
        buf_append_str(out, value.base[0] == 't' ? STR("true") : STR("false"));
        return;
    case REST_RULE_TIMESTAMP:
        append_timestamp(out, value);
        return;
    case REST_RULE_QUOTE:
        emit_json_string(out, value);
        return;
    }
}

void rest_render_csv_value(buf_t *out, str_t value)
{
    if (str_is_null(value))
        return;
    bool needs_quotes = value.len == 0;
    for (size_t i = 0; i < value.len && !needs_quotes; i++)
        needs_quotes = value.base[i] != '\0' && strchr("\"\\(), \t\n\r\v\f", value.base[i]) != NULL;
    if (!needs_quotes) {
        buf_append_str(out, value);
        return;
    }
    buf_append_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.base[i] == '"' || value.base[i] == '\\')
            buf_append_char(out, value.base[i]);
        buf_append_char(out, value.base[i]);
    }
    buf_append_char(out, '"');
}

/* ---- rows ---- */

void rest_render_init(rest_renderer_t *renderer, const rest_plan_t *plan, pool_t *pool, buf_t *out)
{
    *renderer = (rest_renderer_t){.plan = plan, .pool = pool, .out = out};
}

void rest_render_columns(rest_renderer_t *renderer, const db_column_t *columns, size_t count)
{
    const rest_plan_t *plan = renderer->plan;
    bool is_planned = plan->column_count == count;
    rest_rule_t *rules = POOL_ARRAY(renderer->pool, rest_rule_t, count + 1);
    str_t *names = POOL_ARRAY(renderer->pool, str_t, count + 1),
          *keys = POOL_ARRAY(renderer->pool, str_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        rules[i] = is_planned ? plan->columns[i].rule : rest_rule_of(columns[i].type_oid);
        names[i] = is_planned ? plan->columns[i].name : pool_str(renderer->pool, columns[i].name);
        buf_t key;
        buf_init(&key, renderer->pool, names[i].len + 8);
        emit_json_string(&key, names[i]);
        buf_append_char(&key, ':');
        keys[i] = buf_str(&key);
    }
    renderer->column_count = (uint32_t)count;
    renderer->rules = rules;
    renderer->names = names;
    renderer->keys = keys;
}

static void append_object(rest_renderer_t *renderer, const str_t *values, size_t count)
{
    buf_t *out = renderer->out;
    bool strips = renderer->plan->is_null_stripped, is_first = true;
    buf_append_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (strips && (str_is_null(values[i]) ||
                       (renderer->rules[i] == REST_RULE_COPY && str_eq(values[i], STR("null")))))
            continue;
        if (!is_first)
            buf_append_char(out, ',');
        is_first = false;
        buf_append_str(out, renderer->keys[i]);
        rest_render_value(out, renderer->rules[i], values[i]);
    }
    buf_append_char(out, '}');
}

static void append_csv_names(rest_renderer_t *renderer)
{
    for (uint32_t i = 0; i < renderer->column_count; i++) {
        if (i > 0)
            buf_append_char(renderer->out, ',');
        buf_append_str(renderer->out, renderer->names[i]);
    }
    buf_append_char(renderer->out, '\n');
}

static void append_csv_row(rest_renderer_t *renderer, const str_t *values, size_t count)
{
    if (renderer->row_count == 0)
        append_csv_names(renderer);
    else
        buf_append_char(renderer->out, '\n');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(renderer->out, ',');
        rest_render_csv_value(renderer->out, values[i]);
    }
}

static void append_json_row(rest_renderer_t *renderer, const str_t *values, size_t count)
{
    const rest_plan_t *plan = renderer->plan;
    buf_t *out = renderer->out;
    bool is_one = plan->is_singular || plan->shape == REST_SHAPE_OBJECT || plan->shape == REST_SHAPE_SCALAR;
    bool is_scalar = plan->shape == REST_SHAPE_SCALAR || plan->shape == REST_SHAPE_SCALARS;
    if (is_one && renderer->row_count > 0)
        return;
    if (!is_one)
        buf_append_str(out, renderer->row_count == 0 ? STR("[") : is_scalar ? STR(", ") : STR(", \n "));
    if (!is_scalar)
        append_object(renderer, values, count);
    else if (count > 0)
        rest_render_value(out, renderer->rules[0], values[0]);
}

void rest_render_row(rest_renderer_t *renderer, const str_t *values, size_t count)
{
    switch (renderer->plan->format) {
    case REST_FORMAT_CSV:
        append_csv_row(renderer, values, count);
        break;
    case REST_FORMAT_NDJSON:
        append_object(renderer, values, count);
        buf_append_char(renderer->out, '\n');
        break;
    default:
        append_json_row(renderer, values, count);
    }
    renderer->row_count++;
}

void rest_render_end(rest_renderer_t *renderer)
{
    const rest_plan_t *plan = renderer->plan;
    bool is_empty = renderer->row_count == 0;
    if (plan->format == REST_FORMAT_CSV) {
        if (is_empty)
            buf_append_char(renderer->out, '\n');
        return;
    }
    if (plan->format != REST_FORMAT_JSON)
        return;
    bool is_one = plan->is_singular || plan->shape == REST_SHAPE_OBJECT || plan->shape == REST_SHAPE_SCALAR;
    if (is_one && is_empty)
        buf_append_lit(renderer->out, "null");
    else if (!is_one)
        buf_append_str(renderer->out, is_empty ? STR("[]") : STR("]"));
}
