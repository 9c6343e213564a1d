/* Which columns of a view carry a table's key columns. PostgreSQL records it itself: each entry of a
 * rewritten query's target list names the table (resorigtbl) and column (resorigcol) that it was taken from
 * unchanged. The tree's text form is a sequence of words and brackets, so finding the entries of the
 * outermost query is counting braces. */
#include "schema/build_parts.h"

typedef struct {
    const char *at, *end;
} tree_reader_t;

static bool is_bracket(char c)
{
    return c == '(' || c == ')' || c == '{' || c == '}';
}

/* The next word or bracket; a backslash protects the byte behind it. False at the end. */
static bool next_token(tree_reader_t *r, str_t *token)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t'))
        r->at++;
    if (r->at == r->end)
        return false;
    const char *start = r->at;
    if (is_bracket(*r->at)) {
        r->at++;
    } else {
        while (r->at < r->end && !is_bracket(*r->at) && *r->at != ' ' && *r->at != '\n' && *r->at != '\t')
            r->at += *r->at == '\\' && r->at + 1 < r->end ? 2 : 1;
    }
    *token = str_make(start, (size_t)(r->at - start));
    return true;
}

static bool seek_target_list(tree_reader_t *r)
{
    int depth = 0;
    str_t token;
    while (next_token(r, &token)) {
        if (str_eq(token, STR("{")))
            depth++;
        else if (str_eq(token, STR("}")))
            depth--;
        else if (depth == 1 && str_eq(token, STR(":targetList")))
            return next_token(r, &token) && str_eq(token, STR("("));
    }
    return false;
}

static uint32_t number_token(tree_reader_t *r)
{
    str_t token;
    int64_t n = 0;
    if (!next_token(r, &token) || !str_to_int64(token, &n) || n < 0 || n > UINT32_MAX)
        return 0;
    return (uint32_t)n;
}

void schema_view_trace(schema_build_t *b, uint32_t view, str_t tree)
{
    tree_reader_t r = {tree.base, tree.base + tree.len};
    if (!seek_target_list(&r))
        return;
    int depth = 0;
    build_origin_t origin = {.view = view};
    str_t token;
    while (next_token(&r, &token)) {
        if (str_eq(token, STR("{"))) {
            if (depth++ == 0)
                origin = (build_origin_t){.view = view};
        } else if (str_eq(token, STR("}"))) {
            if (--depth == 0 && origin.source != 0 && origin.source_number > 0)
                *LIST_PUSH(b->scratch, &b->origins, build_origin_t) = origin;
        } else if (depth == 0 && str_eq(token, STR(")"))) {
            return;
        } else if (depth == 1 && str_eq(token, STR(":resno"))) {
            origin.number = (int)number_token(&r);
        } else if (depth == 1 && str_eq(token, STR(":resorigtbl"))) {
            origin.source = number_token(&r);
        } else if (depth == 1 && str_eq(token, STR(":resorigcol"))) {
            origin.source_number = (int)number_token(&r);
        }
    }
}

/* ---- keys seen through views ---- */

/* Origins of one view column on all levels: the view's own source, that view's source... */
#define CHAIN_MAX 32

typedef struct {
    uint32_t source;
    int source_number;
    str_t view_column;
} seen_column_t;

static str_t column_name(const build_table_t *view, int number)
{
    for (size_t i = 0; view->columns != NULL && i < view->columns->count; i++)
        if (view->columns->places[i].number == number)
            return view->columns->columns[i].name;
    return STR_NULL;
}

/* The origins of one view: they come together in b->origins. */
typedef struct {
    const build_origin_t *items;
    size_t count;
} origin_slice_t;

static map_t *index_origins(schema_build_t *b)
{
    map_t *map = map_create(b->scratch, 64);
    for (size_t i = 0; i < b->origins.count;) {
        const build_origin_t *first = LIST_AT(&b->origins, build_origin_t, i);
        size_t end = i;
        while (end < b->origins.count && LIST_AT(&b->origins, build_origin_t, end)->view == first->view)
            end++;
        origin_slice_t *slice = POOL_NEW(b->scratch, origin_slice_t);
        *slice = (origin_slice_t){first, end - i};
        map_put(map, schema_oid_key(b, first->view), slice);
        i = end;
    }
    return map;
}

static origin_slice_t origins_of(const map_t *index, uint32_t view)
{
    const origin_slice_t *slice = map_get(index, str_make((const char *)&view, sizeof(view)));
    return slice != NULL ? *slice : (origin_slice_t){0};
}

/* Adds where (source, number) comes from, level by level; `path` stops cycles. */
static void follow(schema_build_t *b, const map_t *index, const build_origin_t *origin, str_t view_column,
                   uint32_t *path, size_t depth, schema_list_t *seen)
{
    for (size_t i = 0; i < depth; i++)
        if (path[i] == origin->source)
            return;
    *LIST_PUSH(b->scratch, seen, seen_column_t) =
        (seen_column_t){origin->source, origin->source_number, view_column};
    if (depth + 1 >= CHAIN_MAX)
        return;
    path[depth] = origin->source;
    origin_slice_t next = origins_of(index, origin->source);
    for (size_t i = 0; i < next.count; i++)
        if (next.items[i].number == origin->source_number)
            follow(b, index, &next.items[i], view_column, path, depth + 1, seen);
}

static bool collect(schema_build_t *b, const schema_list_t *seen, uint32_t relation, int number,
                    schema_list_t *out)
{
    for (size_t i = 0; i < seen->count; i++) {
        const seen_column_t *s = LIST_AT(seen, seen_column_t, i);
        if (s->source == relation && s->source_number == number)
            *LIST_PUSH(b->scratch, out, str_t) = s->view_column;
    }
    return out->count > 0;
}

static void add_dep(schema_build_t *b, const build_key_t *key, build_dep_kind_t kind,
                    const schema_table_t *view, const schema_list_t *seen, schema_list_t *deps)
{
    bool is_other = kind == BUILD_DEP_REFERENCED;
    size_t n = key->columns.count;
    schema_list_t *columns = POOL_ARRAY(b->scratch, schema_list_t, n);
    for (size_t i = 0; i < n; i++) {
        const build_key_column_t *c = LIST_AT(&key->columns, build_key_column_t, i);
        if (!collect(b, seen, is_other ? key->other : key->relation, is_other ? c->other_number : c->number,
                     &columns[i]))
            return; /* a part of the key is not shown */
    }
    *LIST_PUSH(b->scratch, deps, build_dep_t) =
        (build_dep_t){kind, key, {view->schema, view->name}, n, columns};
}

/* Keys by the relations they touch, so that each view looks at few of them. */
static map_t *index_keys(schema_build_t *b)
{
    map_t *map = map_create(b->scratch, b->keys.count * 2);
    for (size_t i = 0; i < b->keys.count; i++) {
        build_key_t *key = *LIST_AT(&b->keys, build_key_t *, i);
        if (key->type == 'u')
            continue;
        for (int side = 0; side < (key->type == 'f' ? 2 : 1); side++) {
            uint32_t oid = side == 0 ? key->relation : key->other;
            schema_list_t *list = map_get(map, str_make((const char *)&oid, sizeof(oid)));
            if (list == NULL) {
                list = POOL_NEW(b->scratch, schema_list_t);
                map_put(map, schema_oid_key(b, oid), list);
            }
            if (list->count == 0 || *LIST_AT(list, build_key_t *, list->count - 1) != key)
                *LIST_PUSH(b->scratch, list, build_key_t *) = key;
        }
    }
    return map;
}

static void view_deps(schema_build_t *b, const map_t *keys, const schema_table_t *view,
                      const schema_list_t *seen, schema_list_t *deps)
{
    for (size_t i = 0; i < seen->count; i++) {
        uint32_t source = LIST_AT(seen, seen_column_t, i)->source;
        bool is_known = false;
        for (size_t j = 0; j < i && !is_known; j++)
            is_known = LIST_AT(seen, seen_column_t, j)->source == source;
        const schema_list_t *list =
            is_known ? NULL : map_get(keys, str_make((const char *)&source, sizeof(source)));
        for (size_t k = 0; list != NULL && k < list->count; k++) {
            const build_key_t *key = *LIST_AT(list, build_key_t *, k);
            if (key->relation == source)
                add_dep(b, key, key->type == 'p' ? BUILD_DEP_PRIMARY : BUILD_DEP_FOREIGN, view, seen, deps);
            if (key->type == 'f' && key->other == source)
                add_dep(b, key, BUILD_DEP_REFERENCED, view, seen, deps);
        }
    }
}

schema_list_t schema_view_deps(schema_build_t *b)
{
    schema_list_t deps = {0};
    map_t *origins = index_origins(b);
    map_t *keys = index_keys(b);
    for (size_t t = 0; t < b->tables.count; t++) {
        const build_table_t *view = LIST_AT(&b->tables, build_table_t, t);
        if (!view->table->is_view)
            continue;
        origin_slice_t own = origins_of(origins, view->table->oid);
        schema_list_t seen = {0};
        for (size_t i = 0; i < own.count; i++) {
            uint32_t path[CHAIN_MAX];
            str_t name = column_name(view, own.items[i].number);
            if (!str_is_null(name))
                follow(b, origins, &own.items[i], name, path, 0, &seen);
        }
        view_deps(b, keys, view->table, &seen, &deps);
    }
    return deps;
}
