#include "token/role_path.h"

#include "base/match.h"

#define STEPS_MAX 16

typedef enum {
    STEP_KEY,   /* member by name */
    STEP_INDEX, /* element by position, negative from the end */
    STEP_FILTER /* first element that passes; elements of arrays, last step of the older notation */
} step_kind_t;

typedef enum { TEST_EQUALS, TEST_DIFFERS, TEST_STARTS, TEST_ENDS, TEST_CONTAINS, TEST_REGEX } test_t;

typedef struct {
    step_kind_t kind;
    str_t text; /* key, or the filter's right side */
    int64_t index;
    test_t test;
    match_t *regex;
    str_t member; /* filter on @.member; null string: on @ itself */
} step_t;

struct role_path {
    bool is_deprecated; /* the older notation: filters only match strings, indexes only forward */
    size_t count;
    step_t steps[STEPS_MAX];
};

/* A cursor over the text of the path. */
typedef struct {
    pool_t *pool;
    str_t text;
    size_t at;
    bool is_deprecated;
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

static bool is_key_char(char c, bool is_deprecated)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           ((unsigned char)c & 0x80) != 0 || (is_deprecated && (c == '$' || c == '@'));
}

static bool take_name(scan_t *scan, str_t *out)
{
    size_t from = scan->at;
    while (scan->at < scan->text.len && is_key_char(scan->text.base[scan->at], scan->is_deprecated))
        scan->at++;
    *out = str_slice(scan->text, from, scan->at);
    bool starts_with_digit = out->len > 0 && out->base[0] >= '0' && out->base[0] <= '9';
    return out->len > 0 && (scan->is_deprecated || !starts_with_digit);
}

/* A quoted string; single quotes and backslash escapes only in the newer notation. */
static bool take_quoted(scan_t *scan, str_t *out)
{
    if (scan->at >= scan->text.len)
        return false;
    char quote = scan->text.base[scan->at];
    if (quote != '"' && (quote != '\'' || scan->is_deprecated))
        return false;
    char *text = pool_alloc(scan->pool, scan->text.len + 1);
    size_t len = 0;
    for (scan->at++; scan->at < scan->text.len; scan->at++) {
        char c = scan->text.base[scan->at];
        if (c == quote) {
            scan->at++;
            *out = str_make(text, len);
            return true;
        }
        if (c == '\\' && !scan->is_deprecated && scan->at + 1 < scan->text.len)
            c = scan->text.base[++scan->at];
        text[len++] = c;
    }
    return false;
}

static bool take_index(scan_t *scan, int64_t *out)
{
    size_t from = scan->at;
    if (!scan->is_deprecated)
        take(scan, STR("-"));
    while (scan->at < scan->text.len && scan->text.base[scan->at] >= '0' && scan->text.base[scan->at] <= '9')
        scan->at++;
    return str_to_int64(str_slice(scan->text, from, scan->at), out);
}

static bool take_operator(scan_t *scan, test_t *out)
{
    static const struct {
        const char *word;
        test_t test;
        bool is_deprecated_only;
    } OPERATORS[] = {{"==^", TEST_ENDS, true},
                     {"==", TEST_EQUALS, false},
                     {"!=", TEST_DIFFERS, false},
                     {"^==", TEST_STARTS, true},
                     {"*==", TEST_CONTAINS, true}};
    for (size_t i = 0; i < sizeof(OPERATORS) / sizeof(OPERATORS[0]); i++) {
        if (OPERATORS[i].is_deprecated_only && !scan->is_deprecated)
            continue;
        if (take(scan, str_from_c(OPERATORS[i].word))) {
            *out = OPERATORS[i].test;
            return true;
        }
    }
    return false;
}

static bool take_subject(scan_t *scan, step_t *step)
{
    if (!take(scan, STR("@")))
        return false;
    return scan->is_deprecated || !take(scan, STR(".")) || take_name(scan, &step->member);
}

static void dispose_regex(void *regex)
{
    match_destroy(regex);
}

/* search(@, 're') finds anywhere, match(@, 're') the whole value. */
static bool take_function(scan_t *scan, step_t *step)
{
    bool is_whole = take(scan, STR("match("));
    if (!is_whole && !take(scan, STR("search(")))
        return false;
    str_t pattern;
    skip_spaces(scan);
    if (!take_subject(scan, step))
        return false;
    skip_spaces(scan);
    if (!take(scan, STR(",")))
        return false;
    skip_spaces(scan);
    if (!take_quoted(scan, &pattern))
        return false;
    skip_spaces(scan);
    if (is_whole)
        pattern = pool_printf(scan->pool, "\\A(?:%.*s)\\z", STR_ARG(pattern));
    step->test = TEST_REGEX;
    step->regex = match_create(pattern, false, NULL);
    if (step->regex == NULL || !take(scan, STR(")")))
        return false;
    pool_on_dispose(scan->pool, dispose_regex, step->regex);
    return true;
}

static bool take_comparison(scan_t *scan, step_t *step)
{
    if (!take_subject(scan, step))
        return false;
    skip_spaces(scan);
    if (!take_operator(scan, &step->test))
        return false;
    skip_spaces(scan);
    return take_quoted(scan, &step->text);
}

/* Behind "[?". */
static bool take_filter(scan_t *scan, step_t *step)
{
    step->kind = STEP_FILTER;
    bool has_parenthesis = take(scan, STR("("));
    if (scan->is_deprecated && !has_parenthesis)
        return false;
    if (!scan->is_deprecated)
        skip_spaces(scan);
    if ((scan->is_deprecated || !take_function(scan, step)) && !take_comparison(scan, step))
        return false;
    if (!scan->is_deprecated)
        skip_spaces(scan);
    return (!has_parenthesis || take(scan, STR(")"))) && take(scan, STR("]"));
}

static bool take_step(scan_t *scan, step_t *step)
{
    *step = (step_t){.kind = STEP_KEY};
    if (take(scan, STR("[?")))
        return take_filter(scan, step) && (!scan->is_deprecated || scan->at == scan->text.len);
    if (take(scan, STR("["))) {
        if (!scan->is_deprecated && take_quoted(scan, &step->text))
            return take(scan, STR("]"));
        step->kind = STEP_INDEX;
        return take_index(scan, &step->index) && take(scan, STR("]"));
    }
    if (!take(scan, STR(".")))
        return false;
    return take_name(scan, &step->text) || (scan->is_deprecated && take_quoted(scan, &step->text));
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
    scan_t scan = {.pool = pool, .text = pool_str(pool, text)};
    scan.is_deprecated = !take(&scan, STR("$"));
    path->is_deprecated = scan.is_deprecated;
    if (!take_path(&scan, path))
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
    case TEST_REGEX:
        return match_test(step->regex, value);
    }
    return false;
}

static const json_t *find_passing(const role_path_t *path, const step_t *step, const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)array, i, item)
    {
        const json_t *value =
            str_is_null(step->member) ? item : json_object_getn(item, step->member.base, step->member.len);
        if (json_is_string(value)) {
            if (passes(step, str_make(json_string_value(value), json_string_length(value))))
                return item;
        } else if (!path->is_deprecated && step->test == TEST_DIFFERS) {
            return item; /* RFC 9535: values of different types differ */
        }
    }
    return NULL;
}

static const json_t *follow(const role_path_t *path, const step_t *step, const json_t *value)
{
    if (step->kind == STEP_KEY)
        return json_object_getn(value, step->text.base, step->text.len);
    if (!json_is_array(value))
        return NULL;
    if (step->kind == STEP_FILTER)
        return find_passing(path, step, value);
    int64_t count = (int64_t)json_array_size(value);
    int64_t index = step->index < 0 ? step->index + count : step->index;
    return index < 0 || index >= count ? NULL : json_array_get(value, (size_t)index);
}

const json_t *role_path_find(const role_path_t *path, const json_t *claims)
{
    const json_t *value = claims;
    for (size_t i = 0; i < path->count && value != NULL; i++)
        value = follow(path, &path->steps[i], value);
    return value;
}
