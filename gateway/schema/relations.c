/* Relationships from keys: many-to-one and one-to-one as declared, the same seen through views, many-to-many
 * over junction tables whose primary key holds both foreign keys, the inverses, and computed ones, which
 * replace found ones of the same target name. Only those between exposed schemas are kept. */
#include "schema/build_parts.h"

#include <stdlib.h>

typedef struct {
    schema_build_t *build;
    schema_list_t relations; /* schema_relation_t * */
} relation_set_t;

static schema_relation_t *add(relation_set_t *set, schema_relation_kind_t kind, schema_name_t table,
                              schema_name_t foreign, str_t constraint)
{
    schema_relation_t *r = POOL_NEW(set->build->pool, schema_relation_t);
    r->kind = kind;
    r->table = table;
    r->foreign = foreign;
    r->constraint = constraint;
    r->is_to_one = kind == SCHEMA_REL_M2O || kind == SCHEMA_REL_O2O;
    *LIST_PUSH(set->build->scratch, &set->relations, schema_relation_t *) = r;
    return r;
}

static bool is_same_column_set(const build_key_t *a, const build_key_t *b)
{
    if (a->columns.count != b->columns.count)
        return false;
    for (size_t i = 0; i < a->columns.count; i++) {
        bool is_found = false;
        for (size_t k = 0; k < b->columns.count && !is_found; k++)
            is_found = LIST_AT(&a->columns, build_key_column_t, i)->number ==
                       LIST_AT(&b->columns, build_key_column_t, k)->number;
        if (!is_found)
            return false;
    }
    return true;
}

/* Keys of one relation stand together. `at` is the place of `key` in the list. */
static bool is_unique_key(const schema_build_t *b, const build_key_t *key, size_t at)
{
    size_t first = at;
    while (first > 0 && (*LIST_AT(&b->keys, build_key_t *, first - 1))->relation == key->relation)
        first--;
    for (size_t i = first; i < b->keys.count; i++) {
        const build_key_t *other = *LIST_AT(&b->keys, build_key_t *, i);
        if (other->relation != key->relation)
            break;
        if (other->type != 'f' && is_same_column_set(key, other))
            return true;
    }
    return false;
}

static schema_column_pair_t *key_pairs(schema_build_t *b, const build_key_t *key)
{
    schema_column_pair_t *pairs = POOL_ARRAY(b->pool, schema_column_pair_t, key->columns.count);
    for (size_t i = 0; i < key->columns.count; i++) {
        const build_key_column_t *c = LIST_AT(&key->columns, build_key_column_t, i);
        pairs[i] = (schema_column_pair_t){c->name, c->other_name};
    }
    return pairs;
}

/* ---- views ---- */

/* One choice of view columns for a key of which some columns are shown several times. False when all are
 * through. */
static bool next_choice(const build_dep_t *dep, size_t *choice)
{
    for (size_t i = dep->column_count; i-- > 0;) {
        if (++choice[i] < dep->columns[i].count)
            return true;
        choice[i] = 0;
    }
    return false;
}

static str_t chosen(const build_dep_t *dep, const size_t *choice, size_t i)
{
    return *LIST_AT(&dep->columns[i], str_t, choice[i]);
}

typedef struct {
    const build_key_t *key;
    schema_relation_kind_t kind;
} found_key_t;

static schema_relation_t *view_relation(relation_set_t *set, const found_key_t *found, const build_dep_t *own,
                                        const size_t *own_choice, const build_dep_t *other,
                                        const size_t *other_choice)
{
    const build_key_t *key = found->key;
    schema_relation_t *r = add(set, found->kind, own != NULL ? own->view : key->relation_name,
                               other != NULL ? other->view : key->other_name, key->name);
    schema_column_pair_t *pairs = key_pairs(set->build, key);
    for (size_t i = 0; i < key->columns.count; i++) {
        if (own != NULL)
            pairs[i].from = chosen(own, own_choice, i);
        if (other != NULL)
            pairs[i].to = chosen(other, other_choice, i);
    }
    r->pairs = pairs;
    r->pair_count = key->columns.count;
    r->table_is_view = own != NULL;
    r->foreign_is_view = other != NULL;
    r->is_self = own != NULL && other != NULL && schema_name_cmp(&own->view, &other->view) == 0;
    return r;
}

/* All relations of `own` (a view, or NULL for the table) with the views that show the referenced columns. */
static void with_referenced(relation_set_t *set, const found_key_t *found, const build_dep_t *own,
                            const size_t *own_choice, const schema_list_t *deps)
{
    for (size_t i = 0; deps != NULL && i < deps->count; i++) {
        const build_dep_t *other = *LIST_AT(deps, const build_dep_t *, i);
        if (other->kind != BUILD_DEP_REFERENCED)
            continue;
        size_t *choice = POOL_ARRAY(set->build->scratch, size_t, other->column_count);
        do
            view_relation(set, found, own, own_choice, other, choice);
        while (next_choice(other, choice));
    }
}

static void add_view_relations(relation_set_t *set, const found_key_t *found, const schema_list_t *deps)
{
    with_referenced(set, found, NULL, NULL, deps);
    for (size_t i = 0; deps != NULL && i < deps->count; i++) {
        const build_dep_t *own = *LIST_AT(deps, const build_dep_t *, i);
        if (own->kind != BUILD_DEP_FOREIGN)
            continue;
        size_t *choice = POOL_ARRAY(set->build->scratch, size_t, own->column_count);
        do {
            view_relation(set, found, own, choice, NULL, NULL);
            with_referenced(set, found, own, choice, deps);
        } while (next_choice(own, choice));
    }
}

static map_t *index_deps(schema_build_t *b, schema_list_t *deps)
{
    map_t *map = map_create(b->scratch, deps->count);
    for (size_t i = 0; i < deps->count; i++) {
        build_dep_t *dep = LIST_AT(deps, build_dep_t, i);
        schema_list_t *list = map_get(map, str_make((const char *)&dep->key->oid, sizeof(uint32_t)));
        if (list == NULL) {
            list = POOL_NEW(b->scratch, schema_list_t);
            map_put(map, schema_oid_key(b, dep->key->oid), list);
        }
        *LIST_PUSH(b->scratch, list, const build_dep_t *) = dep;
    }
    return map;
}

static void add_foreign_keys(relation_set_t *set, const map_t *deps)
{
    schema_build_t *b = set->build;
    for (size_t i = 0; i < b->keys.count; i++) {
        const build_key_t *key = *LIST_AT(&b->keys, build_key_t *, i);
        if (key->type != 'f' || !key->is_top)
            continue;
        found_key_t found = {key, is_unique_key(b, key, i) ? SCHEMA_REL_O2O : SCHEMA_REL_M2O};
        schema_relation_t *r = add(set, found.kind, key->relation_name, key->other_name, key->name);
        r->pairs = key_pairs(b, key);
        r->pair_count = key->columns.count;
        r->is_self = key->relation == key->other;
        add_view_relations(set, &found, map_get(deps, str_make((const char *)&key->oid, sizeof(uint32_t))));
    }
}

/* ---- primary keys ---- */

static int compare_names(const void *a, const void *b)
{
    return str_cmp(*(const str_t *)a, *(const str_t *)b);
}

static void set_table_keys(schema_build_t *b)
{
    for (size_t i = 0; i < b->keys.count; i++) {
        const build_key_t *key = *LIST_AT(&b->keys, build_key_t *, i);
        const build_table_t *t =
            map_get(b->table_by_oid, str_make((const char *)&key->relation, sizeof(uint32_t)));
        if (key->type != 'p' || t == NULL)
            continue;
        str_t *names = POOL_ARRAY(b->pool, str_t, key->columns.count);
        for (size_t k = 0; k < key->columns.count; k++)
            names[k] = LIST_AT(&key->columns, build_key_column_t, k)->name;
        qsort(names, key->columns.count, sizeof(str_t), compare_names);
        t->table->primary_key = names;
        t->table->primary_key_count = key->columns.count;
    }
}

/* A view has the keys that it shows completely; of repeated columns the first counts. */
static void set_view_keys(schema_build_t *b, const schema_list_t *deps)
{
    for (size_t i = 0; i < deps->count; i++) {
        const build_dep_t *dep = LIST_AT(deps, build_dep_t, i);
        schema_table_t *view =
            (schema_table_t *)(uintptr_t)schema_table(b->snapshot, dep->view.schema, dep->view.name);
        if (dep->kind != BUILD_DEP_PRIMARY || view == NULL)
            continue;
        str_t *names = POOL_ARRAY(b->pool, str_t, view->primary_key_count + dep->column_count);
        for (size_t k = 0; k < view->primary_key_count; k++)
            names[k] = view->primary_key[k];
        for (size_t k = 0; k < dep->column_count; k++)
            names[view->primary_key_count + k] = *LIST_AT(&dep->columns[k], str_t, 0);
        view->primary_key = names;
        view->primary_key_count += dep->column_count;
    }
}

/* ---- many-to-many ---- */

static bool covers(const schema_table_t *table, const schema_relation_t *r)
{
    for (size_t i = 0; i < r->pair_count; i++) {
        bool is_found = false;
        for (size_t k = 0; k < table->primary_key_count && !is_found; k++)
            is_found = str_eq(table->primary_key[k], r->pairs[i].from);
        if (!is_found)
            return false;
    }
    return true;
}

static const schema_column_pair_t *swapped(schema_build_t *b, const schema_relation_t *r)
{
    schema_column_pair_t *pairs = POOL_ARRAY(b->pool, schema_column_pair_t, r->pair_count);
    for (size_t i = 0; i < r->pair_count; i++)
        pairs[i] = (schema_column_pair_t){r->pairs[i].to, r->pairs[i].from};
    return pairs;
}

static void add_junction(relation_set_t *set, const schema_relation_t *one, const schema_relation_t *two)
{
    schema_relation_t *r = add(set, SCHEMA_REL_M2M, one->foreign, two->foreign, STR_NULL);
    r->is_self = schema_name_cmp(&one->foreign, &two->foreign) == 0;
    r->table_is_view = one->foreign_is_view;
    r->foreign_is_view = two->foreign_is_view;
    r->junction = one->table;
    r->constraint_1 = one->constraint;
    r->constraint_2 = two->constraint;
    r->source_pairs = swapped(set->build, one);
    r->source_count = one->pair_count;
    r->target_pairs = swapped(set->build, two);
    r->target_count = two->pair_count;
}

static int compare_origin(const void *left, const void *right)
{
    const schema_relation_t *a = *(const schema_relation_t *const *)left,
                            *b = *(const schema_relation_t *const *)right;
    return schema_name_cmp(&a->table, &b->table);
}

static void add_many_to_many(relation_set_t *set)
{
    schema_build_t *b = set->build;
    schema_list_t ones = {0};
    for (size_t i = 0; i < set->relations.count; i++) {
        schema_relation_t *r = *LIST_AT(&set->relations, schema_relation_t *, i);
        if (r->kind == SCHEMA_REL_M2O)
            *LIST_PUSH(b->scratch, &ones, schema_relation_t *) = r;
    }
    if (ones.count > 0)
        qsort(ones.items, ones.count, sizeof(schema_relation_t *), compare_origin);
    for (size_t first = 0; first < ones.count;) {
        const schema_relation_t *head = *LIST_AT(&ones, schema_relation_t *, first);
        size_t end = first;
        while (end < ones.count &&
               schema_name_cmp(&(*LIST_AT(&ones, schema_relation_t *, end))->table, &head->table) == 0)
            end++;
        /* junctions outside the exposed schemas would be dropped anyway */
        const schema_table_t *junction = schema_table(b->snapshot, head->table.schema, head->table.name);
        for (size_t i = first; junction != NULL && i < end; i++) {
            const schema_relation_t *one = *LIST_AT(&ones, schema_relation_t *, i);
            if (!covers(junction, one))
                continue;
            for (size_t k = first; k < end; k++) {
                const schema_relation_t *two = *LIST_AT(&ones, schema_relation_t *, k);
                if (!str_eq(one->constraint, two->constraint) && covers(junction, two))
                    add_junction(set, one, two);
            }
        }
        first = end;
    }
}

static void add_inverses(relation_set_t *set)
{
    size_t count = set->relations.count;
    for (size_t i = 0; i < count; i++) {
        const schema_relation_t *r = *LIST_AT(&set->relations, schema_relation_t *, i);
        if (r->kind != SCHEMA_REL_M2O && r->kind != SCHEMA_REL_O2O)
            continue;
        schema_relation_t *back = add(set, r->kind == SCHEMA_REL_M2O ? SCHEMA_REL_O2M : SCHEMA_REL_O2O,
                                      r->foreign, r->table, r->constraint);
        back->is_self = r->is_self;
        back->is_parent = r->kind == SCHEMA_REL_O2O;
        back->table_is_view = r->foreign_is_view;
        back->foreign_is_view = r->table_is_view;
        back->pairs = swapped(set->build, r);
        back->pair_count = r->pair_count;
    }
}

/* ---- what is kept, and in which order ---- */

static bool is_overridden(const schema_build_t *b, const schema_relation_t *r)
{
    for (size_t i = 0; i < b->computed.count; i++) {
        const schema_relation_t *c = *LIST_AT(&b->computed, schema_relation_t *, i);
        if (schema_name_cmp(&c->table, &r->table) == 0 && schema_name_cmp(&c->function, &r->foreign) == 0)
            return true;
    }
    return false;
}

static int compare_pairs(const schema_column_pair_t *a, size_t a_count, const schema_column_pair_t *b,
                         size_t b_count)
{
    for (size_t i = 0; i < a_count && i < b_count; i++) {
        int c = str_cmp(a[i].from, b[i].from);
        if (c == 0)
            c = str_cmp(a[i].to, b[i].to);
        if (c != 0)
            return c;
    }
    return (a_count > b_count) - (a_count < b_count);
}

static int compare_junctions(const schema_relation_t *a, const schema_relation_t *b)
{
    int c = schema_name_cmp(&a->junction, &b->junction);
    if (c == 0)
        c = str_cmp(a->constraint_1, b->constraint_1);
    if (c == 0)
        c = str_cmp(a->constraint_2, b->constraint_2);
    if (c == 0)
        c = compare_pairs(a->source_pairs, a->source_count, b->source_pairs, b->source_count);
    return c != 0 ? c : compare_pairs(a->target_pairs, a->target_count, b->target_pairs, b->target_count);
}

/* The order in which the peer lists candidates: by target, then kind, then key. */
static int compare_relations(const void *left, const void *right)
{
    const schema_relation_t *a = *(const schema_relation_t *const *)left,
                            *b = *(const schema_relation_t *const *)right;
    int c = schema_name_cmp(&a->table, &b->table);
    if (c == 0)
        c = (a->kind == SCHEMA_REL_COMPUTED) - (b->kind == SCHEMA_REL_COMPUTED);
    if (c == 0 && a->kind == SCHEMA_REL_COMPUTED)
        return schema_name_cmp(&a->function, &b->function);
    if (c == 0)
        c = schema_name_cmp(&a->foreign, &b->foreign);
    if (c == 0)
        c = (int)a->is_self - (int)b->is_self;
    if (c == 0)
        c = (int)a->kind - (int)b->kind;
    if (c == 0 && a->kind == SCHEMA_REL_M2M)
        return compare_junctions(a, b);
    if (c == 0)
        c = str_cmp(a->constraint, b->constraint);
    if (c == 0)
        c = compare_pairs(a->pairs, a->pair_count, b->pairs, b->pair_count);
    return c != 0 ? c : (int)a->is_parent - (int)b->is_parent;
}

static bool is_kept(const schema_build_t *b, const schema_relation_t *r)
{
    const schema_snapshot_t *s = b->snapshot;
    return schema_is_exposed(s, r->table.schema) && schema_is_exposed(s, r->foreign.schema) &&
           (r->kind != SCHEMA_REL_M2M || schema_is_exposed(s, r->junction.schema)) &&
           (r->kind == SCHEMA_REL_COMPUTED || b->computed.count == 0 || !is_overridden(b, r));
}

static void attach(relation_set_t *set)
{
    schema_build_t *b = set->build;
    for (size_t i = 0; i < b->computed.count; i++)
        *LIST_PUSH(b->scratch, &set->relations, schema_relation_t *) =
            *LIST_AT(&b->computed, schema_relation_t *, i);
    const schema_relation_t **kept = POOL_ARRAY(b->pool, const schema_relation_t *, set->relations.count + 1);
    size_t count = 0;
    for (size_t i = 0; i < set->relations.count; i++) {
        const schema_relation_t *r = *LIST_AT(&set->relations, schema_relation_t *, i);
        schema_table_t *t =
            (schema_table_t *)(uintptr_t)schema_table(b->snapshot, r->table.schema, r->table.name);
        if (t != NULL)
            t->has_keys = true;
        if (is_kept(b, r))
            kept[count++] = r;
    }
    qsort(kept, count, sizeof(*kept), compare_relations);
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && schema_name_cmp(&kept[end]->table, &kept[i]->table) == 0)
            end++;
        schema_table_t *t = (schema_table_t *)(uintptr_t)schema_table(b->snapshot, kept[i]->table.schema,
                                                                      kept[i]->table.name);
        if (t != NULL) {
            t->relations = &kept[i];
            t->relation_count = end - i;
        }
        i = end;
    }
    b->snapshot->relation_count = count;
}

void schema_build_relations(schema_build_t *b)
{
    relation_set_t set = {.build = b};
    schema_list_t deps = schema_view_deps(b);
    set_table_keys(b);
    set_view_keys(b, &deps);
    add_foreign_keys(&set, index_deps(b, &deps));
    add_many_to_many(&set);
    add_inverses(&set);
    attach(&set);
}
