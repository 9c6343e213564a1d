/* Private to schema/: the builder's working state, shared by its parts. */
#ifndef SCHEMA_BUILD_PARTS_H
#define SCHEMA_BUILD_PARTS_H

#include "schema/build.h"

/* Growing array in a pool. */
typedef struct {
    void *items;
    size_t count, capacity;
} schema_list_t;

void *schema_list_push(pool_t *pool, schema_list_t *list, size_t item_size);
#define LIST_PUSH(pool, list, type) ((type *)schema_list_push((pool), (list), sizeof(type)))
#define LIST_AT(list, type, i) (&((type *)(list)->items)[i])

/* Where a column stands in its table (attnum), and the modifier of its type. */
typedef struct {
    int number, modifier;
} build_place_t;

/* The columns of one relation: already those of the snapshot, but for what follows from their types. */
typedef struct {
    uint32_t relation; /* oid */
    schema_column_t *columns;
    build_place_t *places;
    size_t count;
} build_columns_t;

typedef struct {
    schema_table_t *table;
    const build_columns_t *columns; /* NULL: none */
} build_table_t;

/* What columns of one type and modifier have in common. */
typedef struct {
    str_t name, base_name, default_value;
    uint32_t oid;
    int32_t modifier;
    uint32_t base_oid;
    int32_t max_length;
    bool is_not_null, is_array, is_composite, is_plain;
    const str_t *enum_values;
    size_t enum_count;
} build_type_t;

/* A column of a key, with its counterpart in a foreign key. */
typedef struct {
    int number, other_number;
    str_t name, other_name;
} build_key_column_t;

typedef struct {
    uint32_t oid;
    char type; /* p, u, f */
    str_t name;
    bool is_top; /* not inherited from a partitioned table */
    uint32_t relation, other;
    schema_name_t relation_name, other_name;
    char relation_kind;
    schema_list_t columns; /* build_key_column_t */
} build_key_t;

/* Column `number` of the view comes unchanged from column `source_number` of `source`. */
typedef struct {
    uint32_t view, source;
    int number, source_number;
} build_origin_t;

typedef enum { BUILD_DEP_PRIMARY, BUILD_DEP_FOREIGN, BUILD_DEP_REFERENCED } build_dep_kind_t;

/* A view shows all columns of a key: for each key column the view columns that carry it. */
typedef struct {
    build_dep_kind_t kind;
    const build_key_t *key;
    schema_name_t view;
    size_t column_count;
    schema_list_t *columns; /* column_count lists of str_t */
} build_dep_t;

typedef struct {
    uint32_t oid;
    schema_routine_t *routine;
    schema_list_t parameters, results, settings;
    bool is_callable, has_unnamed_result;
    size_t unnamed_count;
    uint32_t first_type;
} build_routine_t;

struct schema_build {
    pool_t *pool;    /* becomes the snapshot's */
    pool_t *scratch; /* dies with the builder */
    schema_snapshot_t *snapshot;
    map_t *strings;                          /* interned */
    schema_list_t tables;                    /* build_table_t */
    map_t *table_by_oid;                     /* schema_table_t * */
    schema_list_t columns;                   /* build_columns_t, one of each relation */
    uint32_t open_relation;                  /* whose columns are coming */
    schema_list_t open_columns, open_places; /* schema_column_t, build_place_t */
    map_t *types;                            /* build_type_t, by oid and modifier */
    schema_list_t keys;                      /* build_key_t * */
    schema_list_t origins;                   /* build_origin_t, of all views read */
    schema_list_t routines;                  /* build_routine_t * */
    map_t *routine_by_oid;                   /* build_routine_t * */
    schema_list_t casts;                     /* schema_representation_t */
    schema_list_t handlers;                  /* schema_media_handler_t */
    schema_list_t computed;                  /* schema_relation_t * */
    map_t *enums;                            /* type oid as text to schema_list_t * of str_t */
    schema_list_t roles;                     /* build_role_t */
    schema_list_t readables;                 /* build_readable_t */
    map_t *sights;                           /* schema_sight_t, by role */
};

/* What one role cannot see, by oid. */
typedef struct {
    map_t *tables, *routines;
} schema_sight_t;

typedef struct {
    str_t role, name, value;
} build_role_t;

typedef struct {
    uint32_t relation;
    str_t role, column;
} build_readable_t;

/* Tables of more columns have a map of them. */
#define SCHEMA_COLUMNS_UNINDEXED 16

str_t schema_intern(schema_build_t *build, str_t s);
str_t schema_oid_key(schema_build_t *build, uint32_t oid);
uint32_t schema_oid(str_t text);
bool schema_true(str_t text);
/* Key of the table map: schema, a zero byte, name. */
str_t schema_map_key(pool_t *pool, str_t schema, str_t name);
int schema_name_cmp(const schema_name_t *a, const schema_name_t *b);

/* views.c: reads a rewrite rule's tree and adds its origins. */
void schema_view_trace(schema_build_t *build, uint32_t view, str_t tree);
/* views.c: all keys that views show completely (build_dep_t list in scratch). */
schema_list_t schema_view_deps(schema_build_t *build);
/* relations.c: fills tables' relations and the primary keys of views. */
void schema_build_relations(schema_build_t *build);
/* routines.c */
void schema_build_routine_row(schema_build_t *build, const str_t *values);
void schema_build_parameter_row(schema_build_t *build, const str_t *values);
void schema_build_result_row(schema_build_t *build, const str_t *values);
void schema_build_function_setting(schema_build_t *build, const str_t *values, bool is_isolation);
void schema_build_overloads(schema_build_t *build);
schema_isolation_t schema_isolation_parse(str_t text);

#endif
