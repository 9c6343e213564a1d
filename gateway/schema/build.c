#include "base/observe.h"
#include "schema/build_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* Large enough to be given back to the system, wherever it was allocated, as soon as it is freed. */
#define BLOCK (512 * 1024)

void *schema_list_push(pool_t *pool, schema_list_t *list, size_t item_size)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 1 : list->capacity * 2;
        void *items = pool_calloc(pool, capacity, item_size);
        if (list->count > 0)
            memcpy(items, list->items, list->count * item_size);
        list->items = items;
        list->capacity = capacity;
    }
    return (char *)list->items + list->count++ * item_size;
}

str_t schema_intern(schema_build_t *b, str_t s)
{
    if (str_is_null(s))
        return STR_NULL;
    str_t *known = map_get(b->strings, s);
    if (known == NULL) {
        known = POOL_NEW(b->scratch, str_t);
        *known = pool_str(b->pool, s);
        map_put(b->strings, *known, known);
    }
    return *known;
}

str_t schema_oid_key(schema_build_t *b, uint32_t oid)
{
    uint32_t *copy = POOL_NEW(b->scratch, uint32_t);
    *copy = oid;
    return str_make((const char *)copy, sizeof(*copy));
}

uint32_t schema_oid(str_t text)
{
    int64_t n;
    return str_to_int64(text, &n) && n >= 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

bool schema_true(str_t text)
{
    return text.len > 0 && text.base[0] == 't';
}

static int number(str_t text)
{
    int64_t n;
    return str_to_int64(text, &n) && n >= INT32_MIN && n <= INT32_MAX ? (int)n : 0;
}

str_t schema_map_key(pool_t *pool, str_t schema, str_t name)
{
    return pool_concat(pool, 3, schema, str_make("\0", 1), name);
}

int schema_name_cmp(const schema_name_t *a, const schema_name_t *b)
{
    int c = str_cmp(a->schema, b->schema);
    return c != 0 ? c : str_cmp(a->name, b->name);
}

schema_build_t *schema_build_create(const str_t *schemas, size_t schema_count)
{
    pool_t *scratch = pool_create_sized(BLOCK);
    schema_build_t *b = POOL_NEW(scratch, schema_build_t);
    b->scratch = scratch;
    b->pool = pool_create_sized(BLOCK);
    b->snapshot = POOL_NEW(b->pool, schema_snapshot_t);
    b->strings = map_create(scratch, 1024);
    b->table_by_oid = map_create(scratch, 256);
    b->routine_by_oid = map_create(scratch, 256);
    b->enums = map_create(scratch, 64);
    b->types = map_create(scratch, 64);
    b->sights = map_create(b->pool, 8);
    str_t *copy = POOL_ARRAY(b->pool, str_t, schema_count + 1);
    for (size_t i = 0; i < schema_count; i++)
        copy[i] = schema_intern(b, schemas[i]);
    b->snapshot->schemas = copy;
    b->snapshot->schema_count = schema_count;
    return b;
}

void schema_build_destroy(schema_build_t *b)
{
    if (b == NULL)
        return;
    if (b->pool != NULL)
        pool_destroy(b->pool);
    pool_destroy(b->scratch);
}

static void relation_row(schema_build_t *b, const str_t *v)
{
    schema_table_t *t = POOL_NEW(b->pool, schema_table_t);
    t->oid = schema_oid(v[0]);
    t->schema = schema_intern(b, v[1]);
    t->name = schema_intern(b, v[2]);
    t->is_view = v[3].base[0] == 'v' || v[3].base[0] == 'm';
    t->comment = str_is_null(v[4]) ? STR_NULL : pool_str(b->pool, v[4]);
    t->is_expanding_star = !str_is_null(v[4]) && str_find(v[4], STR(SCHEMA_EXPAND_MARK), 0) != SIZE_MAX;
    int bits = number(v[5]);
    t->is_updatable = (bits & 4) != 0;
    t->is_insertable = (bits & 8) != 0;
    t->is_deletable = (bits & 16) != 0;
    LIST_PUSH(b->scratch, &b->tables, build_table_t)->table = t;
}

/* The columns of a relation come together: they are kept once, in their final place. */
static void close_relation(schema_build_t *b)
{
    size_t count = b->open_columns.count;
    if (count == 0)
        return;
    build_columns_t *own = LIST_PUSH(b->scratch, &b->columns, build_columns_t);
    own->relation = b->open_relation;
    own->count = count;
    own->columns = POOL_ARRAY(b->pool, schema_column_t, count);
    own->places = POOL_ARRAY(b->scratch, build_place_t, count);
    memcpy(own->columns, b->open_columns.items, count * sizeof(schema_column_t));
    memcpy(own->places, b->open_places.items, count * sizeof(build_place_t));
    b->open_columns.count = b->open_places.count = 0;
}

static void column_row(schema_build_t *b, const str_t *v)
{
    uint32_t relation = schema_oid(v[0]);
    if (relation != b->open_relation)
        close_relation(b);
    b->open_relation = relation;
    *LIST_PUSH(b->scratch, &b->open_places, build_place_t) = (build_place_t){number(v[1]), number(v[5])};
    *LIST_PUSH(b->scratch, &b->open_columns, schema_column_t) = (schema_column_t){
        .name = schema_intern(b, v[2]),
        .comment = str_is_null(v[3]) ? STR_NULL : pool_str(b->pool, v[3]),
        .type_oid = schema_oid(v[4]),
        .default_value = schema_intern(b, v[6]),
        .is_nullable = schema_true(v[7]),
        .is_generated = schema_true(v[8]),
    };
}

/* A type and its modifier as a key. */
typedef struct {
    uint32_t oid;
    int32_t modifier;
} type_key_t;

static void type_fact(schema_build_t *b, const str_t *v)
{
    build_type_t *type = POOL_NEW(b->scratch, build_type_t);
    type->oid = schema_oid(v[1]);
    type->modifier = number(v[2]);
    type->name = schema_intern(b, v[3]);
    type->base_name = schema_intern(b, v[4]);
    type->base_oid = schema_oid(v[5]);
    type->default_value = schema_intern(b, v[6]);
    bool is_whole = v[7].len == 4;
    type->is_not_null = is_whole && v[7].base[0] == 't';
    type->is_array = is_whole && v[7].base[1] == 't';
    type->is_composite = is_whole && v[7].base[2] == 't';
    type->is_plain = is_whole && v[7].base[3] == 't';
    type->max_length = number(v[8]);
    type_key_t *key = POOL_NEW(b->scratch, type_key_t);
    *key = (type_key_t){type->oid, type->modifier};
    map_put(b->types, str_make((const char *)key, sizeof(*key)), type);
}

static void constraint_row(schema_build_t *b, const str_t *v)
{
    uint32_t oid = schema_oid(v[0]);
    build_key_t *key = b->keys.count > 0 ? *LIST_AT(&b->keys, build_key_t *, b->keys.count - 1) : NULL;
    if (key == NULL || key->oid != oid) {
        key = POOL_NEW(b->scratch, build_key_t);
        key->oid = oid;
        key->type = v[1].base[0];
        key->name = schema_intern(b, v[2]);
        key->is_top = schema_true(v[3]);
        key->relation = schema_oid(v[4]);
        key->relation_name = (schema_name_t){schema_intern(b, v[5]), schema_intern(b, v[6])};
        key->relation_kind = v[7].base[0];
        key->other = schema_oid(v[10]);
        key->other_name = (schema_name_t){schema_intern(b, v[11]), schema_intern(b, v[12])};
        *LIST_PUSH(b->scratch, &b->keys, build_key_t *) = key;
    }
    *LIST_PUSH(b->scratch, &key->columns, build_key_column_t) =
        (build_key_column_t){number(v[8]), number(v[13]), schema_intern(b, v[9]), schema_intern(b, v[14])};
}

static void enum_fact(schema_build_t *b, const str_t *v)
{
    schema_list_t *labels = map_get(b->enums, v[1]);
    if (labels == NULL) {
        labels = POOL_NEW(b->scratch, schema_list_t);
        map_put(b->enums, pool_str(b->scratch, v[1]), labels);
    }
    *LIST_PUSH(b->scratch, labels, str_t) = schema_intern(b, v[2]);
}

static void computed_fact(schema_build_t *b, const str_t *v)
{
    schema_relation_t *r = POOL_NEW(b->pool, schema_relation_t);
    r->kind = SCHEMA_REL_COMPUTED;
    r->function = (schema_name_t){schema_intern(b, v[1]), schema_intern(b, v[2])};
    r->table = (schema_name_t){schema_intern(b, v[3]), schema_intern(b, v[4])};
    r->foreign = (schema_name_t){schema_intern(b, v[5]), schema_intern(b, v[6])};
    r->is_to_one = schema_true(v[7]);
    r->is_self = schema_name_cmp(&r->table, &r->foreign) == 0;
    *LIST_PUSH(b->scratch, &b->computed, schema_relation_t *) = r;
}

static void sight_fact(schema_build_t *b, const str_t *v)
{
    schema_sight_t *sight = map_get(b->sights, v[1]);
    if (sight == NULL) {
        sight = POOL_NEW(b->pool, schema_sight_t);
        sight->tables = map_create(b->pool, 8);
        sight->routines = map_create(b->pool, 8);
        map_put(b->sights, schema_intern(b, v[1]), sight);
    }
    if (str_is_null(v[2]))
        return;
    uint32_t *oid = POOL_NEW(b->pool, uint32_t);
    *oid = schema_oid(v[2]);
    bool is_routine = str_eq(v[0], STR("hidden_routine"));
    map_put(is_routine ? sight->routines : sight->tables, str_make((const char *)oid, sizeof(*oid)), oid);
}

/* Columns of facts.sql: the kind, then its own. */
static void fact_row(schema_build_t *b, const str_t *v)
{
    str_t kind = v[0];
    if (str_eq(kind, STR("type"))) {
        type_fact(b, v);
    } else if (str_eq(kind, STR("cast"))) {
        *LIST_PUSH(b->scratch, &b->casts, schema_representation_t) =
            (schema_representation_t){schema_intern(b, v[1]), schema_intern(b, v[2]), schema_intern(b, v[3])};
    } else if (str_eq(kind, STR("media"))) {
        *LIST_PUSH(b->scratch, &b->handlers, schema_media_handler_t) =
            (schema_media_handler_t){{schema_intern(b, v[1]), schema_intern(b, v[2])},
                                     {schema_intern(b, v[3]), schema_intern(b, v[4])},
                                     schema_true(v[7]),
                                     schema_intern(b, v[5]),
                                     schema_intern(b, v[6])};
    } else if (str_eq(kind, STR("computed"))) {
        computed_fact(b, v);
    } else if (str_eq(kind, STR("enum"))) {
        enum_fact(b, v);
    } else if (str_eq(kind, STR("isolation")) || str_eq(kind, STR("setting"))) {
        schema_build_function_setting(b, v, kind.base[0] == 'i');
    } else if (str_eq(kind, STR("role"))) {
        *LIST_PUSH(b->scratch, &b->roles, build_role_t) =
            (build_role_t){schema_intern(b, v[1]), schema_intern(b, v[2]), schema_intern(b, v[3])};
    } else if (str_eq(kind, STR("becomes")) || str_starts_with(kind, STR("hidden"))) {
        sight_fact(b, v);
    } else if (str_eq(kind, STR("missing"))) {
        observe(LOG_WARN, "schema_missing", F_STR("schema", v[1]));
    } else if (str_eq(kind, STR("readable"))) {
        *LIST_PUSH(b->scratch, &b->readables, build_readable_t) =
            (build_readable_t){schema_oid(v[1]), schema_intern(b, v[2]), schema_intern(b, v[3])};
    }
}

/* Width of each statement's rows; a narrower row is ignored. */
static const size_t ROW_WIDTH[SCHEMA_ROWS_COUNT] = {6, 9, 15, 3, 13, 7, 5, 9};

void schema_build_row(schema_build_t *b, schema_rows_t rows, const str_t *v, size_t count)
{
    if (count < ROW_WIDTH[rows])
        return;
    switch (rows) {
    case SCHEMA_ROWS_RELATIONS:
        relation_row(b, v);
        break;
    case SCHEMA_ROWS_COLUMNS:
        column_row(b, v);
        break;
    case SCHEMA_ROWS_CONSTRAINTS:
        constraint_row(b, v);
        break;
    case SCHEMA_ROWS_VIEWS:
        schema_view_trace(b, schema_oid(v[0]), v[2]);
        break;
    case SCHEMA_ROWS_ROUTINES:
        schema_build_routine_row(b, v);
        break;
    case SCHEMA_ROWS_PARAMETERS:
        schema_build_parameter_row(b, v);
        break;
    case SCHEMA_ROWS_RESULTS:
        schema_build_result_row(b, v);
        break;
    case SCHEMA_ROWS_FACTS:
        fact_row(b, v);
        break;
    case SCHEMA_ROWS_COUNT:
        break;
    }
}

/* ---- finishing ---- */

static void attach_enums(schema_build_t *b)
{
    size_t cursor = 0;
    void *value;
    while (map_next(b->types, &cursor, NULL, &value)) {
        build_type_t *type = value;
        char oid[16];
        int len = snprintf(oid, sizeof(oid), "%u", type->base_oid);
        const schema_list_t *labels = map_get(b->enums, str_make(oid, (size_t)len));
        if (labels == NULL)
            continue;
        str_t *copy = POOL_ARRAY(b->pool, str_t, labels->count);
        memcpy(copy, labels->items, labels->count * sizeof(str_t));
        type->enum_values = copy;
        type->enum_count = labels->count;
    }
}

static int compare_tables(const void *left, const void *right)
{
    const schema_table_t *a = ((const build_table_t *)left)->table,
                         *b = ((const build_table_t *)right)->table;
    int c = str_cmp(a->schema, b->schema);
    return c != 0 ? c : str_cmp(a->name, b->name);
}

static void apply_type(const schema_build_t *b, schema_column_t *c, int32_t modifier)
{
    type_key_t key = {c->type_oid, modifier};
    const build_type_t *type = map_get(b->types, str_make((const char *)&key, sizeof(key)));
    if (type == NULL)
        return;
    c->type = type->name;
    c->base_type = type->base_name;
    c->base_oid = type->base_oid;
    c->max_length = type->max_length;
    c->is_nullable = c->is_nullable && !type->is_not_null;
    c->is_array = type->is_array;
    c->is_composite = type->is_composite;
    c->is_plain = type->is_plain;
    c->enum_values = type->enum_values;
    c->enum_count = type->enum_count;
    if (str_is_null(c->default_value) && !c->is_generated)
        c->default_value = type->default_value;
}

static void index_columns(schema_build_t *b, schema_table_t *table)
{
    if (table->column_count <= SCHEMA_COLUMNS_UNINDEXED)
        return;
    map_t *map = map_create(b->pool, table->column_count);
    for (size_t i = 0; i < table->column_count; i++)
        map_put(map, table->columns[i].name, (void *)(uintptr_t)&table->columns[i]);
    table->column_map = map;
}

static void attach_columns(schema_build_t *b)
{
    close_relation(b);
    attach_enums(b);
    for (size_t i = 0; i < b->columns.count; i++) {
        const build_columns_t *own = LIST_AT(&b->columns, build_columns_t, i);
        build_table_t *t =
            map_get(b->table_by_oid, str_make((const char *)&own->relation, sizeof(own->relation)));
        if (t == NULL)
            continue;
        for (size_t k = 0; k < own->count; k++)
            apply_type(b, &own->columns[k], own->places[k].modifier);
        t->columns = own;
        t->table->columns = own->columns;
        t->table->column_count = own->count;
        index_columns(b, t->table);
    }
}

static void attach_tables(schema_build_t *b)
{
    schema_snapshot_t *s = b->snapshot;
    if (b->tables.count > 0)
        qsort(b->tables.items, b->tables.count, sizeof(build_table_t), compare_tables);
    const schema_table_t **tables = POOL_ARRAY(b->pool, const schema_table_t *, b->tables.count + 1);
    map_t *map = map_create(b->pool, b->tables.count);
    for (size_t i = 0; i < b->tables.count; i++) {
        build_table_t *t = LIST_AT(&b->tables, build_table_t, i);
        tables[i] = t->table;
        map_put(map, schema_map_key(b->pool, t->table->schema, t->table->name), t->table);
        map_put(b->table_by_oid, schema_oid_key(b, t->table->oid), t);
    }
    s->tables = tables;
    s->table_count = b->tables.count;
    s->table_map = map;
}

/* Rows come by table (oid as text), then column number; roles are mixed within. */
static void attach_readable(schema_build_t *b, schema_table_t *table)
{
    schema_list_t list = {0};
    for (size_t i = 0; i < b->readables.count; i++) {
        const build_readable_t *row = LIST_AT(&b->readables, build_readable_t, i);
        if (row->relation != table->oid)
            continue;
        schema_readable_t *r = NULL;
        for (size_t k = 0; k < list.count && r == NULL; k++)
            if (str_eq(LIST_AT(&list, schema_readable_t, k)->role, row->role))
                r = LIST_AT(&list, schema_readable_t, k);
        if (r == NULL) {
            r = LIST_PUSH(b->pool, &list, schema_readable_t);
            r->role = row->role;
            r->columns = POOL_ARRAY(b->pool, str_t, table->column_count + 1);
        }
        if (r->column_count < table->column_count)
            ((str_t *)(uintptr_t)r->columns)[r->column_count++] = row->column;
    }
    table->readable = list.items;
    table->readable_count = list.count;
}

static void attach_roles(schema_build_t *b)
{
    schema_list_t roles = {0};
    for (size_t i = 0; i < b->roles.count;) {
        schema_role_t *role = LIST_PUSH(b->pool, &roles, schema_role_t);
        schema_list_t settings = {0};
        role->role = LIST_AT(&b->roles, build_role_t, i)->role;
        for (; i < b->roles.count && str_eq(LIST_AT(&b->roles, build_role_t, i)->role, role->role); i++) {
            const build_role_t *row = LIST_AT(&b->roles, build_role_t, i);
            if (str_eq(row->name, STR("default_transaction_isolation")))
                role->isolation = schema_isolation_parse(row->value);
            else
                *LIST_PUSH(b->pool, &settings, schema_setting_t) = (schema_setting_t){row->name, row->value};
        }
        role->settings = settings.items;
        role->setting_count = settings.count;
    }
    map_t *map = map_create(b->pool, roles.count);
    for (size_t i = 0; i < roles.count; i++)
        map_put(map, LIST_AT(&roles, schema_role_t, i)->role, LIST_AT(&roles, schema_role_t, i));
    b->snapshot->roles = roles.items;
    b->snapshot->role_count = roles.count;
    b->snapshot->role_map = map;
}

static void *freeze(pool_t *pool, const schema_list_t *list, size_t size)
{
    void *copy = pool_calloc(pool, list->count + 1, size);
    if (list->count > 0)
        memcpy(copy, list->items, list->count * size);
    return copy;
}

schema_snapshot_t *schema_build_finish(schema_build_t *b, uint64_t version)
{
    schema_snapshot_t *s = b->snapshot;
    attach_tables(b);
    attach_columns(b);
    for (size_t i = 0; i < b->tables.count; i++) {
        schema_table_t *table = LIST_AT(&b->tables, build_table_t, i)->table;
        if (table->is_expanding_star)
            attach_readable(b, table);
    }
    attach_roles(b);
    s->sight_map = b->sights;
    s->representations = freeze(b->pool, &b->casts, sizeof(schema_representation_t));
    s->representation_count = b->casts.count;
    s->handlers = freeze(b->pool, &b->handlers, sizeof(schema_media_handler_t));
    s->handler_count = b->handlers.count;
    schema_build_relations(b);
    schema_build_overloads(b);
    s->version = version;
    s->pool = b->pool;
    atomic_init(&s->refs, 1);
    b->pool = NULL;
    return s;
}
