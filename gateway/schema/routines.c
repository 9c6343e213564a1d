#include "schema/build_parts.h"

#include <stdlib.h>

enum { OID_BYTEA = 17, OID_TEXT = 25, OID_JSON = 114, OID_XML = 142, OID_JSONB = 3802 };

schema_isolation_t schema_isolation_parse(str_t text)
{
    str_t rest = text;
    str_t level = str_trim(str_split(&rest, ','));
    if (str_eq_nocase(level, STR("serializable")))
        return SCHEMA_ISOLATION_SERIALIZABLE;
    if (str_eq_nocase(level, STR("repeatable read")))
        return SCHEMA_ISOLATION_REPEATABLE;
    return SCHEMA_ISOLATION_COMMITTED;
}

/* Columns of routines.sql. */
void schema_build_routine_row(schema_build_t *b, const str_t *v)
{
    build_routine_t *r = POOL_NEW(b->scratch, build_routine_t);
    schema_routine_t *f = r->routine = POOL_NEW(b->pool, schema_routine_t);
    r->is_callable = true;
    r->oid = f->oid = schema_oid(v[0]);
    f->schema = schema_intern(b, v[1]);
    f->name = schema_intern(b, v[2]);
    f->comment = str_is_null(v[3]) ? STR_NULL : pool_str(b->pool, v[3]);
    f->return_type = (schema_name_t){schema_intern(b, v[4]), schema_intern(b, v[5])};
    f->return_oid = schema_oid(v[6]);
    f->returns_set = schema_true(v[7]);
    f->returns_composite = schema_true(v[8]);
    f->returns_composite_alias = schema_true(v[9]);
    f->returns_plain = schema_true(v[10]);
    f->volatility = v[11].base[0] == 'i'   ? SCHEMA_IMMUTABLE
                    : v[11].base[0] == 's' ? SCHEMA_STABLE
                                           : SCHEMA_VOLATILE;
    f->has_variadic = schema_true(v[12]);
    *LIST_PUSH(b->scratch, &b->routines, build_routine_t *) = r;
    map_put(b->routine_by_oid, schema_oid_key(b, r->oid), r);
}

static build_routine_t *find_routine(schema_build_t *b, str_t oid_text)
{
    uint32_t oid = schema_oid(oid_text);
    return map_get(b->routine_by_oid, str_make((const char *)&oid, sizeof(oid)));
}

/* Columns of parameters.sql. */
void schema_build_parameter_row(schema_build_t *b, const str_t *v)
{
    build_routine_t *r = find_routine(b, v[0]);
    if (r == NULL)
        return;
    schema_parameter_t *p = LIST_PUSH(b->scratch, &r->parameters, schema_parameter_t);
    p->name = schema_intern(b, v[1]);
    p->type = schema_intern(b, v[2]);
    p->max_type = schema_intern(b, v[3]);
    p->is_required = schema_true(v[5]);
    p->is_variadic = schema_true(v[6]);
    if (p->name.len == 0)
        r->unnamed_count++;
    if (r->parameters.count == 1)
        r->first_type = schema_oid(v[4]);
}

/* Columns of results.sql. */
void schema_build_result_row(schema_build_t *b, const str_t *v)
{
    build_routine_t *r = find_routine(b, v[0]);
    if (r == NULL)
        return;
    schema_column_t *c = LIST_PUSH(b->scratch, &r->results, schema_column_t);
    c->name = schema_intern(b, v[2]);
    c->type = schema_intern(b, v[3]);
    c->is_plain = schema_true(v[4]);
    r->has_unnamed_result = r->has_unnamed_result || c->name.len == 0;
}

/* Facts "isolation" and "setting": oid, name, value behind the kind. */
void schema_build_function_setting(schema_build_t *b, const str_t *v, bool is_isolation)
{
    build_routine_t *r = find_routine(b, v[1]);
    if (r == NULL)
        return;
    if (is_isolation) {
        r->routine->isolation = schema_isolation_parse(v[3]);
        return;
    }
    schema_setting_t *s = LIST_PUSH(b->scratch, &r->settings, schema_setting_t);
    s->name = schema_intern(b, v[2]);
    s->value = pool_str(b->pool, v[3]);
}

/* A function with unnamed parameters can be called only when a body can be its one parameter. */
static bool is_callable(const build_routine_t *r)
{
    if (r->unnamed_count == 0)
        return true;
    if (r->unnamed_count > 1)
        return false;
    uint32_t t = r->first_type;
    return t == OID_BYTEA || t == OID_TEXT || t == OID_JSON || t == OID_JSONB || t == OID_XML;
}

static int compare_parameters(const schema_routine_t *a, const schema_routine_t *b)
{
    for (size_t i = 0; i < a->parameter_count; i++) {
        const schema_parameter_t *p = &a->parameters[i], *q = &b->parameters[i];
        int c = str_cmp(p->name, q->name);
        if (c == 0)
            c = str_cmp(p->type, q->type);
        if (c == 0)
            c = (int)p->is_required - (int)q->is_required;
        if (c != 0)
            return c;
    }
    return 0;
}

/* By name; overloads by number of parameters, then as the peer lists them in its errors. */
static int compare_routines(const void *left, const void *right)
{
    const schema_routine_t *a = *(const schema_routine_t *const *)left,
                           *b = *(const schema_routine_t *const *)right;
    int c = str_cmp(a->schema, b->schema);
    if (c == 0)
        c = str_cmp(a->name, b->name);
    if (c != 0)
        return c;
    if (a->parameter_count != b->parameter_count)
        return a->parameter_count < b->parameter_count ? -1 : 1;
    c = (int)str_is_null(b->comment) - (int)str_is_null(a->comment);
    if (c == 0)
        c = str_cmp(a->comment, b->comment);
    if (c == 0)
        c = compare_parameters(a, b);
    return c != 0 ? c : (a->oid < b->oid ? -1 : 1);
}

static const void *freeze(pool_t *pool, const schema_list_t *list, size_t size)
{
    void *copy = pool_calloc(pool, list->count == 0 ? 1 : list->count, size);
    if (list->count > 0)
        memcpy(copy, list->items, list->count * size);
    return copy;
}

void schema_build_overloads(schema_build_t *b)
{
    schema_snapshot_t *s = b->snapshot;
    const schema_routine_t **all = POOL_ARRAY(b->pool, const schema_routine_t *, b->routines.count + 1);
    size_t count = 0;
    for (size_t i = 0; i < b->routines.count; i++) {
        build_routine_t *r = *LIST_AT(&b->routines, build_routine_t *, i);
        if (!is_callable(r))
            continue;
        r->routine->parameters = freeze(b->pool, &r->parameters, sizeof(schema_parameter_t));
        r->routine->parameter_count = r->parameters.count;
        r->routine->settings = freeze(b->pool, &r->settings, sizeof(schema_setting_t));
        r->routine->setting_count = r->settings.count;
        if (!r->has_unnamed_result) {
            r->routine->results = freeze(b->pool, &r->results, sizeof(schema_column_t));
            r->routine->result_count = r->results.count;
        }
        all[count++] = r->routine;
    }
    qsort(all, count, sizeof(*all), compare_routines);
    const schema_overloads_t **groups = POOL_ARRAY(b->pool, const schema_overloads_t *, count + 1);
    map_t *map = map_create(b->pool, count);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && str_eq(all[end]->schema, all[i]->schema) &&
               str_eq(all[end]->name, all[i]->name))
            end++;
        schema_overloads_t *o = POOL_NEW(b->pool, schema_overloads_t);
        *o = (schema_overloads_t){{all[i]->schema, all[i]->name}, &all[i], end - i};
        groups[s->overload_count++] = o;
        map_put(map, schema_map_key(b->pool, o->name.schema, o->name.name), o);
        i = end;
    }
    s->overloads = groups;
    s->overload_map = map;
}
