#include "token/json_path_parts.h"

#define VISITS_MAX 1000000

typedef struct {
    const json_t *root;
    size_t visits;
} search_t;

static const json_t *follow(search_t *search, const segment_t *segment, const json_t *value);

static const json_t *first_of(search_t *search, const json_path_t *query, const json_t *value)
{
    return follow(search, query->segments, query->is_root ? search->root : value);
}

/* --- conditions --- */

/* NULL: the query selects nothing, which is a value of its own. */
static const json_t *operand_value(search_t *search, const operand_t *operand, const json_t *value)
{
    return operand->query == NULL ? operand->literal : first_of(search, operand->query, value);
}

static bool is_equal(const json_t *a, const json_t *b)
{
    return a == NULL || b == NULL ? a == b : json_equal(a, b) != 0;
}

/* Numbers and strings have an order among themselves, nothing else has. */
static bool is_less(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) < json_number_value(b);
    if (!json_is_string(a) || !json_is_string(b))
        return false;
    return strcmp(json_string_value(a), json_string_value(b)) < 0;
}

static bool compare(compare_t how, const json_t *a, const json_t *b)
{
    switch (how) {
    case COMPARE_EQ:
        return is_equal(a, b);
    case COMPARE_NE:
        return !is_equal(a, b);
    case COMPARE_LT:
        return is_less(a, b);
    case COMPARE_GT:
        return is_less(b, a);
    case COMPARE_LE:
        return is_less(a, b) || is_equal(a, b);
    case COMPARE_GE:
        return is_less(b, a) || is_equal(a, b);
    }
    return false;
}

static bool passes(search_t *search, const condition_t *c, const json_t *value)
{
    const json_t *a;
    switch (c->kind) {
    case IS_OR:
        return passes(search, c->left, value) || passes(search, c->right, value);
    case IS_AND:
        return passes(search, c->left, value) && passes(search, c->right, value);
    case IS_NOT:
        return !passes(search, c->left, value);
    case IS_THERE:
        return operand_value(search, &c->a, value) != NULL;
    case IS_FOUND:
        a = operand_value(search, &c->a, value);
        return json_is_string(a) &&
               match_test(c->regex, str_make(json_string_value(a), json_string_length(a)));
    case IS_COMPARED:
        return compare(c->compare, operand_value(search, &c->a, value), operand_value(search, &c->b, value));
    }
    return false;
}

/* --- selectors: each returns the first value at the end of the way that goes on from what it selects --- */

static const json_t *try_child(search_t *search, const segment_t *segment, const selector_t *selector,
                               const json_t *child)
{
    if (selector->kind == SELECT_FILTER && !passes(search, selector->condition, child))
        return NULL;
    return follow(search, segment->next, child);
}

static const json_t *each_child(search_t *search, const segment_t *segment, const selector_t *selector,
                                const json_t *value)
{
    const json_t *found = NULL;
    size_t i;
    json_t *child;
    const char *key;
    if (json_is_array(value)) {
        json_array_foreach(value, i, child)
        {
            if ((found = try_child(search, segment, selector, child)) != NULL)
                return found;
        }
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, child)
        {
            if ((found = try_child(search, segment, selector, child)) != NULL)
                return found;
        }
    }
    return found;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static const json_t *each_of_slice(search_t *search, const segment_t *segment, const selector_t *s,
                                   const json_t *array)
{
    const json_t *found = NULL;
    int64_t count = (int64_t)json_array_size(array), step = clamp(s->step, -count - 1, count + 1);
    bool is_forward = step > 0;
    int64_t low = is_forward ? 0 : -1, high = is_forward ? count : count - 1;
    int64_t start = s->has_start ? s->start : is_forward ? 0 : count - 1;
    int64_t end = s->has_end ? s->end : is_forward ? count : -count - 1;
    start = clamp(start < 0 ? start + count : start, low, high);
    end = clamp(end < 0 ? end + count : end, low, high);
    for (int64_t i = start; step != 0 && (is_forward ? i < end : i > end) && found == NULL; i += step)
        found = follow(search, segment->next, json_array_get(array, (size_t)i));
    return found;
}

static const json_t *select_from(search_t *search, const segment_t *segment, const selector_t *s,
                                 const json_t *value)
{
    int64_t count = (int64_t)json_array_size(value);
    int64_t index = s->start < 0 ? s->start + count : s->start;
    switch (s->kind) {
    case SELECT_NAME:
        return follow(search, segment->next, json_object_getn(value, s->name.base, s->name.len));
    case SELECT_INDEX:
        return index < 0 ? NULL : follow(search, segment->next, json_array_get(value, (size_t)index));
    case SELECT_SLICE:
        return each_of_slice(search, segment, s, value);
    case SELECT_ALL:
    case SELECT_FILTER:
        return each_child(search, segment, s, value);
    }
    return NULL;
}

/* The value, then what lies below it, as deep as the document is. */
static const json_t *descend(search_t *search, const segment_t *segment, const json_t *value)
{
    static const selector_t ALL = {.kind = SELECT_ALL};
    const segment_t below = {.selectors = (selector_t *)&ALL, .next = (segment_t *)segment};
    const json_t *found = NULL;
    for (const selector_t *s = segment->selectors; s != NULL && found == NULL; s = s->next)
        found = select_from(search, segment, s, value);
    return found != NULL || !segment->is_descendant ? found : each_child(search, &below, &ALL, value);
}

static const json_t *follow(search_t *search, const segment_t *segment, const json_t *value)
{
    if (value == NULL || segment == NULL)
        return value;
    if (search->visits++ >= VISITS_MAX)
        return NULL;
    return descend(search, segment, value);
}

const json_t *json_path_first(const json_path_t *path, const json_t *root)
{
    search_t search = {.root = root};
    return first_of(&search, path, root);
}
