#include "token/role_path.h"

#include "token/json_path.h"

#define STEPS_MAX 16

/* The older notation. */
typedef enum {
    STEP_KEY,   /* member by name */
    STEP_INDEX, /* element by position */
    STEP_FILTER /* the first string that passes; the last step */
} step_kind_t;

typedef enum { TEST_EQUALS, TEST_DIFFERS, TEST_STARTS, TEST_ENDS, TEST_CONTAINS } test_t;

typedef struct {
    step_kind_t kind;
    str_t text; /* key, or the filter's right side */
    int64_t index;
    test_t test;
} step_t;

struct role_path {
    json_path_t *query; /* NULL: the older notation, in steps */
    size_t count;
    step_t steps[STEPS_MAX];
};

/* A cursor over the text of the path. */
typedef struct {
    str_t text;
    size_t at;
} scan_t;

static bool take(scan_t *scan, str_t word)
{
    if (!str_starts_with(str_slice(scan->text, scan->at, scan->text.len), word))
        return false;
    scan->at += word.len;
    return true;
}

static void skip_spaces(scan_t *scan)
{
    while (take(scan, STR(" ")) || take(scan, STR("\t")))
        continue;
}

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == '@' || ((unsigned char)c & 0x80) != 0;
}

static bool take_name(scan_t *scan, str_t *out)
{
    size_t from = scan->at;
    while (scan->at < scan->text.len && is_key_char(scan->text.base[scan->at]))
        scan->at++;
    *out = str_slice(scan->text, from, scan->at);
    return out->len > 0;
}

static bool take_quoted(scan_t *scan, str_t *out)
{
    if (!take(scan, STR("\"")))
        return false;
    size_t end = str_find_char(scan->text, '"', scan->at);
    if (end == SIZE_MAX)
        return false;
    *out = str_slice(scan->text, scan->at, end);
    scan->at = end + 1;
    return true;
}

static bool take_index(scan_t *scan, int64_t *out)
{
    size_t from = scan->at;
    while (scan->at < scan->text.len && scan->text.base[scan->at] >= '0' && scan->text.base[scan->at] <= '9')
        scan->at++;
    return str_to_int64(str_slice(scan->text, from, scan->at), out);
}

static bool take_operator(scan_t *scan, test_t *out)
{
    static const struct {
        const char *word;
        test_t test;
    } OPERATORS[] = {{"==^", TEST_ENDS},
                     {"==", TEST_EQUALS},
                     {"!=", TEST_DIFFERS},
                     {"^==", TEST_STARTS},
                     {"*==", TEST_CONTAINS}};
    for (size_t i = 0; i < sizeof(OPERATORS) / sizeof(OPERATORS[0]); i++) {
        if (take(scan, str_from_c(OPERATORS[i].word))) {
            *out = OPERATORS[i].test;
            return true;
        }
    }
    return false;
}

/* Behind "[?(". */
static bool take_filter(scan_t *scan, step_t *step)
{
    step->kind = STEP_FILTER;
    if (!take(scan, STR("@")))
        return false;
    skip_spaces(scan);
    if (!take_operator(scan, &step->test))
        return false;
    skip_spaces(scan);
    return take_quoted(scan, &step->text) && take(scan, STR(")]")) && scan->at == scan->text.len;
}

static bool take_step(scan_t *scan, step_t *step)
{
    *step = (step_t){.kind = STEP_KEY};
    if (take(scan, STR("[?(")))
        return take_filter(scan, step);
    if (take(scan, STR("["))) {
        step->kind = STEP_INDEX;
        return take_index(scan, &step->index) && take(scan, STR("]"));
    }
    return take(scan, STR(".")) && (take_name(scan, &step->text) || take_quoted(scan, &step->text));
}

static bool take_path(scan_t *scan, role_path_t *path)
{
    while (scan->at < scan->text.len) {
        if (path->count == STEPS_MAX || !take_step(scan, &path->steps[path->count]))
            return false;
        path->count++;
    }
    return path->count > 0;
}

err_t *role_path_parse(pool_t *pool, pool_t *errors, str_t text, role_path_t **out)
{
    role_path_t *path = POOL_NEW(pool, role_path_t);
    scan_t scan = {.text = pool_str(pool, text)};
    path->query = json_path_parse(pool, text);
    if (path->query == NULL && !take_path(&scan, path))
        return err_make(errors, 500, ERR_FAMILY_AUTH, "PGRST300",
                        "failed to parse role-claim-key value (%.*s)", STR_ARG(text));
    *out = path;
    return NULL;
}

static bool passes(const step_t *step, str_t value)
{
    switch (step->test) {
    case TEST_EQUALS:
        return str_eq(value, step->text);
    case TEST_DIFFERS:
        return !str_eq(value, step->text);
    case TEST_STARTS:
        return str_starts_with(value, step->text);
    case TEST_ENDS:
        return str_ends_with(value, step->text);
    case TEST_CONTAINS:
        return str_find(value, step->text, 0) != SIZE_MAX;
    }
    return false;
}

static const json_t *find_passing(const step_t *step, const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        if (json_is_string(item) && passes(step, str_make(json_string_value(item), json_string_length(item))))
            return item;
    }
    return NULL;
}

static const json_t *follow(const step_t *step, const json_t *value)
{
    if (step->kind == STEP_KEY)
        return json_object_getn(value, step->text.base, step->text.len);
    if (step->kind == STEP_FILTER)
        return find_passing(step, value);
    return json_array_get(value, (size_t)step->index);
}

const json_t *role_path_find(const role_path_t *path, const json_t *claims)
{
    if (path->query != NULL)
        return json_path_first(path->query, claims);
    const json_t *value = claims;
    for (size_t i = 0; i < path->count && value != NULL; i++)
        value = follow(&path->steps[i], value);
    return value;
}
