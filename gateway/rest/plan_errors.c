/* Errors of the schema family (PGRST2xx). Names that a caller did not write appear in hints only. */
#include "base/emit.h"
#include "rest/errors.h"
#include "rest/plan.h"
#include "schema/hint.h"

#include <stdlib.h>

static err_t *schema_error(const planner_t *p, uint16_t status, const char *code, str_t message)
{
    return err_make(p->pool, status, ERR_FAMILY_SCHEMA, code, "%.*s", STR_ARG(message));
}

/* ---- what the caller may be told of ---- */

static bool sees_table(const planner_t *p, const schema_table_t *table)
{
    return table != NULL && schema_may_see(p->snapshot, p->identity->role, table->oid, false);
}

static bool sees_named(const planner_t *p, const schema_name_t *name)
{
    return sees_table(p, schema_table(p->snapshot, name->schema, name->name));
}

static bool sees_relation(const planner_t *p, const schema_relation_t *r)
{
    return sees_named(p, &r->foreign) && (r->kind != SCHEMA_REL_M2M || sees_named(p, &r->junction));
}

static bool sees_routine(const planner_t *p, const schema_routine_t *f)
{
    return schema_may_see(p->snapshot, p->identity->role, f->oid, true);
}

static bool sees_overload(const planner_t *p, const schema_overloads_t *o)
{
    for (size_t i = 0; i < o->count; i++)
        if (sees_routine(p, o->routines[i]))
            return true;
    return false;
}

err_t *plan_err_table(const planner_t *p, schema_name_t name)
{
    err_t *err = schema_error(p, 404, "PGRST205",
                              pool_printf(p->pool, "Could not find the table '%.*s.%.*s' in the schema cache",
                                          STR_ARG(name.schema), STR_ARG(name.name)));
    str_t *names = POOL_ARRAY(p->pool, str_t, p->snapshot->table_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < p->snapshot->table_count; i++)
        if (str_eq(p->snapshot->tables[i]->schema, name.schema) && sees_table(p, p->snapshot->tables[i]))
            names[count++] = p->snapshot->tables[i]->name;
    str_t near = schema_nearest(p->pool, name.name, names, count, SCHEMA_HINT_STRICT, true);
    if (!str_is_null(near))
        err_hint(p->pool, err, "Perhaps you meant the table '%.*s.%.*s'", STR_ARG(name.schema),
                 STR_ARG(near));
    return err;
}

err_t *plan_err_column(const planner_t *p, str_t table, str_t column)
{
    return schema_error(p, 400, "PGRST204",
                        pool_printf(p->pool, "Could not find the '%.*s' column of '%.*s' in the schema cache",
                                    STR_ARG(column), STR_ARG(table)));
}

/* ---- relationships ---- */

/* An unknown origin gets the nearest table that has relationships, a known one the nearest of its targets. */
static void hint_relation(const planner_t *p, err_t *err, const schema_table_t *origin, str_t parent,
                          str_t child)
{
    bool is_known = origin != NULL && origin->has_keys;
    size_t capacity = is_known ? origin->relation_count : p->snapshot->table_count;
    str_t *names = POOL_ARRAY(p->pool, str_t, capacity + 1);
    size_t count = 0;
    for (size_t i = 0; i < capacity; i++) {
        if (is_known && sees_relation(p, origin->relations[i]))
            names[count++] = origin->relations[i]->foreign.name;
        const schema_table_t *table = is_known ? NULL : p->snapshot->tables[i];
        if (table != NULL && table->has_keys && str_eq(table->schema, p->target.schema) &&
            sees_table(p, table))
            names[count++] = table->name;
    }
    str_t wanted = is_known ? child : parent;
    str_t near = schema_nearest(p->pool, wanted, names, count, SCHEMA_HINT_LOOSE, !is_known);
    if (!str_is_null(near))
        err_hint(p->pool, err, "Perhaps you meant '%.*s' instead of '%.*s'.", STR_ARG(near), STR_ARG(wanted));
}

err_t *plan_err_no_relation(const planner_t *p, const schema_table_t *parent_table, str_t parent, str_t child,
                            str_t hint)
{
    err_t *err = schema_error(
        p, 400, "PGRST200",
        pool_printf(p->pool, "Could not find a relationship between '%.*s' and '%.*s' in the schema cache",
                    STR_ARG(parent), STR_ARG(child)));
    const char *using_hint = str_is_null(hint) ? "" : "' using the hint '";
    err_details(p->pool, err,
                "Searched for a foreign key relationship between '%.*s' and '%.*s%s%.*s' in the schema "
                "'%.*s', but no "
                "matches were found.",
                STR_ARG(parent), STR_ARG(child), using_hint, STR_ARG(hint), STR_ARG(p->target.schema));
    hint_relation(p, err, parent_table, parent, child);
    return err;
}

static void append_columns(buf_t *out, const schema_column_pair_t *pairs, size_t count, bool is_to)
{
    buf_append_char(out, '(');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_lit(out, ", ");
        buf_append_str(out, is_to ? pairs[i].to : pairs[i].from);
    }
    buf_append_char(out, ')');
}

static str_t describe(const planner_t *p, const schema_relation_t *r)
{
    buf_t out;
    buf_init(&out, p->pool, 128);
    if (r->kind == SCHEMA_REL_M2M) {
        buf_printf(&out, "%.*s using %.*s", STR_ARG(r->junction.name), STR_ARG(r->constraint_1));
        append_columns(&out, r->source_pairs, r->source_count, true);
        buf_printf(&out, " and %.*s", STR_ARG(r->constraint_2));
        append_columns(&out, r->target_pairs, r->target_count, true);
        return buf_str(&out);
    }
    buf_printf(&out, "%.*s using %.*s", STR_ARG(r->constraint), STR_ARG(r->table.name));
    append_columns(&out, r->pairs, r->pair_count, false);
    buf_printf(&out, " and %.*s", STR_ARG(r->foreign.name));
    append_columns(&out, r->pairs, r->pair_count, true);
    return buf_str(&out);
}

static str_t cardinality(schema_relation_kind_t kind)
{
    switch (kind) {
    case SCHEMA_REL_O2M:
        return STR("one-to-many");
    case SCHEMA_REL_M2O:
        return STR("many-to-one");
    case SCHEMA_REL_O2O:
        return STR("one-to-one");
    default:
        return STR("many-to-many");
    }
}

static void emit_candidate(const planner_t *p, emit_t *e, const schema_relation_t *r)
{
    emit_object_begin(e);
    if (r->kind != SCHEMA_REL_COMPUTED) {
        emit_kv_string(e, "cardinality", cardinality(r->kind));
        emit_kv_string(
            e, "embedding",
            pool_printf(p->pool, "%.*s with %.*s", STR_ARG(r->table.name), STR_ARG(r->foreign.name)));
        emit_kv_string(e, "relationship", describe(p, r));
    }
    emit_object_end(e);
}

err_t *plan_err_ambiguous_relation(const planner_t *p, str_t parent, str_t child,
                                   const schema_relation_t *const *found, size_t count)
{
    err_t *err = schema_error(
        p, 300, "PGRST201",
        pool_printf(p->pool,
                    "Could not embed because more than one relationship was found for '%.*s' and '%.*s'",
                    STR_ARG(parent), STR_ARG(child)));
    buf_t json, names;
    buf_init(&json, p->pool, 512);
    buf_init(&names, p->pool, 256);
    emit_t e;
    emit_init(&e, &json);
    emit_array_begin(&e);
    for (size_t i = 0; i < count; i++) {
        const schema_relation_t *r = found[i];
        if (!sees_relation(p, r))
            continue;
        emit_candidate(p, &e, r);
        if (names.len > 0)
            buf_append_lit(&names, ", ");
        if (r->kind != SCHEMA_REL_COMPUTED)
            buf_printf(&names, "'%.*s!%.*s'", STR_ARG(r->foreign.name),
                       STR_ARG(r->kind == SCHEMA_REL_M2M ? r->junction.name : r->constraint));
    }
    emit_array_end(&e);
    err->details_json = buf_str(&json);
    return err_hint(p->pool, err,
                    "Try changing '%.*s' to one of the following: %.*s. Find the desired relationship in the "
                    "'details' key.",
                    STR_ARG(child), STR_ARG(buf_str(&names)));
}

err_t *plan_err_not_embedded(const planner_t *p, str_t name, const plan_node_t *legacy)
{
    err_t *err = rest_error(p->pool, REST_ERR_NOT_EMBEDDED, name);
    if (legacy == NULL)
        return err_hint(p->pool, err, "Verify that '%.*s' is included in the 'select' query parameter.",
                        STR_ARG(name));
    err_details(p->pool, err, "Target names are not allowed in filters if they have an alias");
    return err_hint(p->pool, err, "Change '%.*s' to '%.*s' in filters, orders or limits.",
                    STR_ARG(legacy->rel_name), STR_ARG(legacy->rel_alias));
}

/* ---- routines ---- */

static int compare_names(const void *a, const void *b)
{
    return str_cmp(*(const str_t *)a, *(const str_t *)b);
}

/* "(a, b)" of sorted names. */
static str_t signature(const planner_t *p, const str_t *names, size_t count)
{
    str_t *sorted = POOL_ARRAY(p->pool, str_t, count + 1);
    if (count > 0)
        memcpy(sorted, names, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_names);
    buf_t out;
    buf_init(&out, p->pool, 64);
    buf_append_char(&out, '(');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_lit(&out, ", ");
        buf_append_str(&out, sorted[i]);
    }
    buf_append_char(&out, ')');
    return buf_str(&out);
}

static str_t routine_signature(const planner_t *p, const schema_routine_t *f)
{
    str_t *names = POOL_ARRAY(p->pool, str_t, f->parameter_count + 1);
    for (size_t i = 0; i < f->parameter_count; i++)
        names[i] = f->parameters[i].name;
    return signature(p, names, f->parameter_count);
}

static void hint_routine(const planner_t *p, err_t *err, schema_name_t name, str_t arguments,
                         const schema_overloads_t *overloads)
{
    size_t capacity = overloads != NULL ? overloads->count : p->snapshot->overload_count;
    str_t *names = POOL_ARRAY(p->pool, str_t, capacity + 1);
    size_t count = 0;
    for (size_t i = 0; i < capacity; i++) {
        const schema_overloads_t *o = overloads != NULL ? NULL : p->snapshot->overloads[i];
        if (overloads != NULL && sees_routine(p, overloads->routines[i]))
            names[count++] = routine_signature(p, overloads->routines[i]);
        else if (o != NULL && str_eq(o->name.schema, name.schema) && sees_overload(p, o))
            names[count++] = o->name.name;
    }
    bool has_name = overloads != NULL;
    str_t near = schema_nearest(p->pool, has_name ? arguments : name.name, names, count,
                                has_name ? SCHEMA_HINT_LOOSE : SCHEMA_HINT_STRICT, true);
    if (!str_is_null(near))
        err_hint(p->pool, err, "Perhaps you meant to call the function %.*s.%.*s%.*s", STR_ARG(name.schema),
                 STR_ARG(has_name ? name.name : near), STR_ARG(has_name ? near : STR_NULL));
}

/* What the search for an argument-less body took for: a single unnamed parameter of this type. */
static const char *body_parameter_type(const planner_t *p)
{
    if (p->request->action != REST_ACTION_CALL)
        return NULL;
    switch (p->request->content_type.kind) {
    case REST_MEDIA_TEXT:
        return "text";
    case REST_MEDIA_XML:
        return "xml";
    case REST_MEDIA_OCTETS:
        return "bytea";
    default:
        return NULL;
    }
}

static str_t joined(const planner_t *p, const str_t *names, size_t count)
{
    buf_t out;
    buf_init(&out, p->pool, 64);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_lit(&out, ", ");
        buf_append_str(&out, names[i]);
    }
    return buf_str(&out);
}

err_t *plan_err_no_routine(const planner_t *p, schema_name_t name, const str_t *arguments,
                           size_t argument_count, const schema_overloads_t *overloads)
{
    const char *body_type = body_parameter_type(p);
    str_t list = joined(p, arguments, argument_count);
    str_t shown =
        argument_count == 0 ? STR(" without parameters") : pool_concat(p->pool, 3, STR("("), list, STR(")"));
    err_t *err = schema_error(
        p, 404, "PGRST202",
        pool_printf(p->pool, "Could not find the function %.*s.%.*s%.*s in the schema cache",
                    STR_ARG(name.schema), STR_ARG(name.name), STR_ARG(body_type != NULL ? STR("") : shown)));
    str_t searched;
    if (body_type != NULL)
        searched = pool_printf(p->pool, " with a single unnamed %s parameter", body_type);
    else if (argument_count == 0)
        searched = STR(" without parameters");
    else
        searched =
            pool_printf(p->pool, " with parameter%s %.*s", argument_count > 1 ? "s" : "", STR_ARG(list));
    bool is_json = p->request->action == REST_ACTION_CALL && p->request->content_type.kind == REST_MEDIA_JSON;
    err_details(p->pool, err,
                "Searched for the function %.*s.%.*s%.*s%s, but no matches were found in the schema cache.",
                STR_ARG(name.schema), STR_ARG(name.name), STR_ARG(searched),
                is_json ? " or with a single unnamed json/jsonb parameter" : "");
    if (body_type == NULL)
        hint_routine(p, err, name, signature(p, arguments, argument_count), overloads);
    return err;
}

err_t *plan_err_ambiguous_routine(const planner_t *p, const schema_routine_t *const *routines, size_t count)
{
    buf_t out;
    buf_init(&out, p->pool, 256);
    for (size_t i = 0; i < count; i++) {
        const schema_routine_t *f = routines[i];
        if (!sees_routine(p, f))
            continue;
        buf_printf(&out, "%s%.*s.%.*s(", out.len > 0 ? ", " : "", STR_ARG(f->schema), STR_ARG(f->name));
        for (size_t k = 0; k < f->parameter_count; k++)
            buf_printf(&out, "%s%.*s => %.*s", k > 0 ? ", " : "", STR_ARG(f->parameters[k].name),
                       STR_ARG(f->parameters[k].type));
        buf_append_char(&out, ')');
    }
    err_t *err =
        schema_error(p, 300, "PGRST203",
                     pool_printf(p->pool, "Could not choose the best candidate function between: %.*s",
                                 STR_ARG(buf_str(&out))));
    return err_hint(
        p->pool, err,
        "Try renaming the parameters or the function itself in the database so function overloading can "
        "be resolved");
}
