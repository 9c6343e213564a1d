#include "base/buf.h"
#include "token/json_path_parts.h"

#define NESTING_MAX 16 /* of conditions in conditions */

/* A cursor over the text of the path. */
typedef struct {
    pool_t *pool;
    str_t text;
    size_t at, nesting;
} scan_t;

static bool take(scan_t *scan, const char *word)
{
    str_t wanted = str_from_c(word);
    if (!str_starts_with(str_slice(scan->text, scan->at, scan->text.len), wanted))
        return false;
    scan->at += wanted.len;
    return true;
}

static char peek(const scan_t *scan)
{
    return scan->at < scan->text.len ? scan->text.base[scan->at] : '\0';
}

static void skip_spaces(scan_t *scan)
{
    while (take(scan, " ") || take(scan, "\t") || take(scan, "\n") || take(scan, "\r"))
        continue;
}

static bool take_after_spaces(scan_t *scan, const char *word)
{
    size_t from = scan->at;
    skip_spaces(scan);
    if (take(scan, word))
        return true;
    scan->at = from;
    return false;
}

/* --- literals --- */

static void release_json(void *json)
{
    json_decref(json);
}

static const json_t *read_literal(scan_t *scan, str_t text)
{
    json_t *json = json_loadb(text.base, text.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    if (json != NULL)
        pool_on_dispose(scan->pool, release_json, json);
    return json;
}

/* A string in either kind of quotes, read by the JSON parser once it has JSON's. */
static const json_t *take_string(scan_t *scan)
{
    char quote = peek(scan);
    if (quote != '"' && quote != '\'')
        return NULL;
    buf_t json;
    buf_init(&json, scan->pool, 64);
    buf_append_char(&json, '"');
    for (scan->at++; scan->at < scan->text.len && peek(scan) != quote; scan->at++) {
        char c = peek(scan);
        if (c == '\\' && scan->at + 1 < scan->text.len) {
            c = scan->text.base[++scan->at];
            buf_append(&json, "\\", c != '\'');
        } else {
            buf_append(&json, "\\", c == '"');
        }
        buf_append_char(&json, c);
    }
    if (peek(scan) != quote)
        return NULL;
    scan->at++;
    buf_append_char(&json, '"');
    return read_literal(scan, buf_str(&json));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const json_t *take_literal(scan_t *scan)
{
    static const char *const WORDS[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (take(scan, WORDS[i]))
            return read_literal(scan, str_from_c(WORDS[i]));
    size_t from = scan->at;
    if (peek(scan) == '-' || is_digit(peek(scan))) {
        while (peek(scan) != '\0' && (is_digit(peek(scan)) || strchr("+-.eE", peek(scan)) != NULL))
            scan->at++;
        return read_literal(scan, str_slice(scan->text, from, scan->at));
    }
    return take_string(scan);
}

static bool take_name(scan_t *scan, str_t *out)
{
    size_t from = scan->at;
    for (; scan->at < scan->text.len; scan->at++) {
        char c = peek(scan);
        bool is_letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || ((unsigned char)c & 0x80) != 0;
        if (!is_letter && (scan->at == from || !is_digit(c)))
            break;
    }
    *out = str_slice(scan->text, from, scan->at);
    return out->len > 0;
}

static bool take_int(scan_t *scan, int64_t *out)
{
    size_t from = scan->at;
    take(scan, "-");
    while (is_digit(peek(scan)))
        scan->at++;
    if (str_to_int64(str_slice(scan->text, from, scan->at), out))
        return true;
    scan->at = from;
    return false;
}

/* --- conditions --- */

static json_path_t *take_query(scan_t *scan);
static const condition_t *take_or(scan_t *scan);

static const condition_t *make(scan_t *scan, condition_t condition)
{
    condition_t *made = POOL_NEW(scan->pool, condition_t);
    *made = condition;
    return made;
}

/* A literal, or a query that selects one value at most. */
static bool take_operand(scan_t *scan, operand_t *out)
{
    *out = (operand_t){.query = take_query(scan)};
    if (out->query == NULL)
        out->literal = take_literal(scan);
    return out->query != NULL || out->literal != NULL;
}

static void dispose_regex(void *regex)
{
    match_destroy(regex);
}

/* search(value, 're') finds anywhere, match(value, 're') the whole value. Behind the name. */
static const condition_t *take_function(scan_t *scan, bool is_whole)
{
    condition_t found = {.kind = IS_FOUND};
    skip_spaces(scan);
    if (!take_operand(scan, &found.a) || !take_after_spaces(scan, ","))
        return NULL;
    skip_spaces(scan);
    const json_t *literal = take_string(scan);
    if (literal == NULL || !take_after_spaces(scan, ")"))
        return NULL;
    str_t pattern = str_make(json_string_value(literal), json_string_length(literal));
    if (is_whole)
        pattern = pool_printf(scan->pool, "\\A(?:%.*s)\\z", STR_ARG(pattern));
    found.regex = match_create(pattern, false, NULL);
    if (found.regex == NULL)
        return NULL;
    pool_on_dispose(scan->pool, dispose_regex, found.regex);
    return make(scan, found);
}

/* `a == b`, or a query alone: is there anything? */
static const condition_t *take_comparison(scan_t *scan)
{
    static const char *const WORDS[] = {"==", "!=", "<=", ">=", "<", ">"};
    condition_t condition = {.kind = IS_COMPARED};
    if (!take_operand(scan, &condition.a))
        return NULL;
    size_t which = 0, count = sizeof(WORDS) / sizeof(WORDS[0]);
    while (which < count && !take_after_spaces(scan, WORDS[which]))
        which++;
    condition.compare = (compare_t)which;
    if (which == count) {
        condition.kind = IS_THERE;
        return condition.a.query != NULL ? make(scan, condition) : NULL;
    }
    skip_spaces(scan);
    bool is_good = take_operand(scan, &condition.b) &&
                   (condition.a.query == NULL || condition.a.query->is_singular) &&
                   (condition.b.query == NULL || condition.b.query->is_singular);
    return is_good ? make(scan, condition) : NULL;
}

static const condition_t *take_basic(scan_t *scan)
{
    skip_spaces(scan);
    bool is_not = take(scan, "!");
    skip_spaces(scan);
    const condition_t *condition;
    if (take(scan, "(")) {
        condition = take_or(scan);
        if (!take_after_spaces(scan, ")"))
            return NULL;
    } else if (take(scan, "search(")) {
        condition = take_function(scan, false);
    } else if (take(scan, "match(")) {
        condition = take_function(scan, true);
    } else {
        condition = take_comparison(scan);
        if (is_not && condition != NULL && condition->kind == IS_COMPARED)
            return NULL; /* needs parentheses */
    }
    return is_not && condition != NULL ? make(scan, (condition_t){.kind = IS_NOT, .left = condition})
                                       : condition;
}

static const condition_t *take_and(scan_t *scan)
{
    const condition_t *left = take_basic(scan);
    while (left != NULL && take_after_spaces(scan, "&&")) {
        const condition_t *right = take_basic(scan);
        left = right == NULL ? NULL : make(scan, (condition_t){.kind = IS_AND, .left = left, .right = right});
    }
    return left;
}

static const condition_t *take_or(scan_t *scan)
{
    if (++scan->nesting > NESTING_MAX)
        return NULL;
    const condition_t *left = take_and(scan);
    while (left != NULL && take_after_spaces(scan, "||")) {
        const condition_t *right = take_and(scan);
        left = right == NULL ? NULL : make(scan, (condition_t){.kind = IS_OR, .left = left, .right = right});
    }
    scan->nesting--;
    return left;
}

/* --- selectors and segments --- */

/* An index, or the parts of a slice. */
static bool take_position(scan_t *scan, selector_t *out)
{
    out->kind = SELECT_INDEX;
    out->step = 1;
    out->has_start = take_int(scan, &out->start);
    if (!take_after_spaces(scan, ":"))
        return out->has_start;
    out->kind = SELECT_SLICE;
    skip_spaces(scan);
    out->has_end = take_int(scan, &out->end);
    if (take_after_spaces(scan, ":")) {
        skip_spaces(scan);
        take_int(scan, &out->step);
    }
    return true;
}

static bool take_selector(scan_t *scan, selector_t *out)
{
    skip_spaces(scan);
    if (take(scan, "*")) {
        out->kind = SELECT_ALL;
        return true;
    }
    if (take(scan, "?")) {
        out->kind = SELECT_FILTER;
        out->condition = take_or(scan);
        return out->condition != NULL;
    }
    if (peek(scan) != '"' && peek(scan) != '\'')
        return take_position(scan, out);
    const json_t *name = take_string(scan);
    out->kind = SELECT_NAME;
    if (name != NULL)
        out->name = str_make(json_string_value(name), json_string_length(name));
    return name != NULL;
}

/* Behind "[". */
static bool take_selectors(scan_t *scan, segment_t *segment)
{
    selector_t **link = &segment->selectors;
    do {
        *link = POOL_NEW(scan->pool, selector_t);
        if (!take_selector(scan, *link))
            return false;
        link = &(*link)->next;
    } while (take_after_spaces(scan, ","));
    return take_after_spaces(scan, "]");
}

static bool take_segment(scan_t *scan, segment_t *segment)
{
    segment->is_descendant = take(scan, "..");
    bool is_dotted = segment->is_descendant || take(scan, ".");
    if ((segment->is_descendant || !is_dotted) && take(scan, "["))
        return take_selectors(scan, segment);
    selector_t *selector = segment->selectors = POOL_NEW(scan->pool, selector_t);
    selector->kind = take(scan, "*") ? SELECT_ALL : SELECT_NAME;
    return is_dotted && (selector->kind == SELECT_ALL || take_name(scan, &selector->name));
}

/* NULL, with the cursor where it was, when no query begins here; a broken one ends at its mistake, where
 * nothing that may follow it stands. */
static json_path_t *take_query(scan_t *scan)
{
    json_path_t *path = POOL_NEW(scan->pool, json_path_t);
    path->is_root = take(scan, "$");
    path->is_singular = true;
    if (!path->is_root && !take(scan, "@"))
        return NULL;
    for (segment_t **link = &path->segments;; link = &(*link)->next) {
        size_t from = scan->at;
        skip_spaces(scan);
        if (peek(scan) != '.' && peek(scan) != '[') {
            scan->at = from;
            return path;
        }
        *link = POOL_NEW(scan->pool, segment_t);
        if (!take_segment(scan, *link)) {
            scan->at = scan->text.len; /* nothing can close what is open */
            return NULL;
        }
        const selector_t *first = (*link)->selectors;
        path->is_singular &= !(*link)->is_descendant && first->next == NULL && first->kind <= SELECT_INDEX;
    }
}

json_path_t *json_path_parse(pool_t *pool, str_t text)
{
    scan_t scan = {.pool = pool, .text = pool_str(pool, text)};
    json_path_t *path = take_query(&scan);
    return path != NULL && path->is_root && path->segments != NULL && scan.at == scan.text.len ? path : NULL;
}
