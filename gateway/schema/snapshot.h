/* The schema snapshot: what the database looked like when it was read. Immutable after building, counted,
 * shared by all requests that started while it was in force. Names are as in the catalog, never quoted; type
 * names are as format_type prints them under an empty search_path, so they may stand in SQL as they are.
 * Source of the rules (what is exposed, how relationships are found): PostgREST v16's documentation of the
 * schema cache and of resource embedding. */
#ifndef SCHEMA_SNAPSHOT_H
#define SCHEMA_SNAPSHOT_H

#include "base/map.h"
#include "base/pool.h"

#include <stdatomic.h>

typedef struct {
    str_t schema, name;
} schema_name_t;

typedef struct {
    str_t name, value;
} schema_setting_t;

/* A column of a table or view. */
typedef struct {
    str_t name;
    str_t comment;       /* null string: none */
    str_t type;          /* nominal type with modifiers: "character varying(10)", "test.color" */
    str_t base_type;     /* domains resolved when their base is a built-in type, without modifiers */
    uint32_t type_oid;   /* of the nominal type */
    uint32_t base_oid;   /* domains resolved all the way */
    str_t default_value; /* SQL expression, null string: none */
    int32_t max_length;  /* characters; 0: unlimited */
    const str_t *enum_values;
    size_t enum_count;
    bool is_nullable;
    bool is_generated;
    bool is_array;
    bool is_composite;
    /* The text form of its values can be turned into JSON without the database's help (numbers, booleans,
     * dates, strings, enums, json, arrays of texts). The others are selected as to_json(column). */
    bool is_plain;
} schema_column_t;

struct schema_relation;

/* Roles that may select only some columns of a table marked with SCHEMA_EXPAND_MARK. */
typedef struct {
    str_t role;
    const str_t *columns; /* the readable ones, in table order */
    size_t column_count;
} schema_readable_t;

/* A table comment that contains this word makes `*` and the default representation mean "the columns that the
 * role may select" on that table, instead of failing with 42501 when a column privilege is missing. */
#define SCHEMA_EXPAND_MARK "@basalt.expand_star"

typedef struct {
    uint32_t oid;
    str_t schema, name;
    str_t comment;                                  /* null string: none */
    bool is_view;                                   /* also materialized */
    bool is_insertable, is_updatable, is_deletable; /* what the object allows, not what a role may do */
    bool is_expanding_star;
    const schema_column_t *columns; /* in table order */
    size_t column_count;
    const str_t *primary_key; /* column names by name; for views traced to their base table */
    size_t primary_key_count;
    const struct schema_relation *const
        *relations; /* leading away from this table, in the order errors list them */
    size_t relation_count;
    bool has_keys; /* has relationships at all, also ones that lead out of the exposed schemas */
    const schema_readable_t *readable; /* only when is_expanding_star */
    size_t readable_count;
    const map_t
        *column_map; /* private: name to schema_column_t; NULL: few columns, they are looked through */
} schema_table_t;

typedef enum {
    SCHEMA_REL_O2M,
    SCHEMA_REL_M2O,
    SCHEMA_REL_O2O,
    SCHEMA_REL_M2M,
    SCHEMA_REL_COMPUTED /* a function from a row to rows of another table */
} schema_relation_kind_t;

typedef struct {
    str_t from, to;
} schema_column_pair_t;

/* One way to go from a table to another. */
typedef struct schema_relation {
    schema_relation_kind_t kind;
    schema_name_t table;   /* origin */
    schema_name_t foreign; /* target */
    bool is_self;
    bool table_is_view, foreign_is_view;
    bool is_parent; /* O2O: the foreign key is on the other side */
    bool is_to_one;
    str_t constraint;                  /* O2M, M2O, O2O */
    const schema_column_pair_t *pairs; /* O2M, M2O, O2O: from = column of table, to = column of foreign */
    size_t pair_count;
    /* M2M: */
    schema_name_t junction;
    str_t constraint_1, constraint_2;
    const schema_column_pair_t *source_pairs; /* from = column of table, to = column of junction */
    size_t source_count;
    const schema_column_pair_t *target_pairs; /* from = column of foreign, to = column of junction */
    size_t target_count;
    /* COMPUTED: */
    schema_name_t function;
} schema_relation_t;

typedef struct {
    str_t name;     /* empty: unnamed */
    str_t type;     /* as declared */
    str_t max_type; /* the same without a length: what a value is cast to */
    bool is_required;
    bool is_variadic;
} schema_parameter_t;

typedef enum { SCHEMA_VOLATILE, SCHEMA_STABLE, SCHEMA_IMMUTABLE } schema_volatility_t;
typedef enum {
    SCHEMA_ISOLATION_NONE,
    SCHEMA_ISOLATION_COMMITTED,
    SCHEMA_ISOLATION_REPEATABLE,
    SCHEMA_ISOLATION_SERIALIZABLE
} schema_isolation_t;

typedef struct {
    uint32_t oid;
    str_t schema, name;
    str_t comment; /* null string: none */
    const schema_parameter_t *parameters;
    size_t parameter_count;
    bool has_variadic;
    bool returns_set;
    bool returns_composite;       /* rows of a table or type, or OUT/TABLE parameters */
    bool returns_composite_alias; /* through a domain */
    bool returns_plain;           /* a scalar that is plain as in schema_column_t */
    schema_name_t return_type;    /* table name for composites of a table */
    /* Columns of rows that are no table's; only name, type and is_plain are set. None: they cannot be known.
     */
    const schema_column_t *results;
    size_t result_count;
    uint32_t return_oid; /* domains resolved */
    schema_volatility_t volatility;
    schema_isolation_t isolation;     /* SET default_transaction_isolation */
    const schema_setting_t *settings; /* SET clauses to be hoisted to the transaction */
    size_t setting_count;
} schema_routine_t;

/* Functions of one name, fewest parameters first. */
typedef struct {
    schema_name_t name;
    const schema_routine_t *const *routines;
    size_t count;
} schema_overloads_t;

/* Implicit cast of a domain from or to json or text: how values of that type are presented and read. */
typedef struct {
    str_t source, target; /* type names */
    str_t function;       /* quoted as regproc prints it: stands in SQL as it is */
} schema_representation_t;

/* A function or aggregate returning a domain named like a media type. */
typedef struct {
    schema_name_t function; /* aggregate; for scalar functions the domain */
    schema_name_t target;   /* row type of the aggregate's argument, or the scalar function's name */
    bool is_any_element;    /* takes anyelement: offered for every relation */
    str_t media_type;       /* lower case; "*" "/" "*" as such */
    str_t resolved_type;    /* what the response is labelled with */
} schema_media_handler_t;

/* ALTER ROLE .. SET of roles that the login role may become. */
typedef struct {
    str_t role;
    schema_isolation_t isolation;
    const schema_setting_t *settings; /* those any user may set, to be applied before the role is taken */
    size_t setting_count;
} schema_role_t;

typedef struct schema_snapshot {
    atomic_uint refs;
    pool_t *pool;
    uint64_t version;     /* counts loads */
    const str_t *schemas; /* exposed, the first is the default */
    size_t schema_count;
    const schema_table_t *const *tables; /* of exposed schemas, by schema and name */
    size_t table_count;
    const schema_overloads_t *const *overloads; /* by schema and name */
    size_t overload_count;
    size_t relation_count;
    const schema_representation_t *representations;
    size_t representation_count;
    const schema_media_handler_t *handlers;
    size_t handler_count;
    const schema_role_t *roles;
    size_t role_count;
    const map_t *table_map, *overload_map, *role_map, *sight_map; /* private */
} schema_snapshot_t;

/* Counting. A request takes a reference when it starts to plan and drops it at its end. Any thread. */
schema_snapshot_t *schema_ref(schema_snapshot_t *snapshot);
void schema_unref(schema_snapshot_t *snapshot); /* NULL is allowed */

/* Lookups; NULL when there is no such object. Borrowed from the snapshot. */
const schema_table_t *schema_table(const schema_snapshot_t *snapshot, str_t schema, str_t name);
const schema_column_t *schema_column(const schema_table_t *table, str_t name);
const schema_overloads_t *schema_overloads(const schema_snapshot_t *snapshot, str_t schema, str_t name);
const schema_role_t *schema_role(const schema_snapshot_t *snapshot, str_t role);
bool schema_is_exposed(const schema_snapshot_t *snapshot, str_t schema);

/* Whether a role may use the relation or routine of that oid in any way: what hints may name. Roles that the
 * login cannot become see nothing. */
bool schema_may_see(const schema_snapshot_t *snapshot, str_t role, uint32_t oid, bool is_routine);

/* The function that turns `source` into `target`, or the null string. */
str_t schema_representation(const schema_snapshot_t *snapshot, str_t source, str_t target);

/* The handler for a relation (or scalar function) and a media type; `target` NULL: the anyelement ones. */
const schema_media_handler_t *schema_media_handler(const schema_snapshot_t *snapshot,
                                                   const schema_name_t *target, str_t media_type);

/* Columns of an expanding table that `role` may select; all of them when nothing is known about the role. */
const schema_readable_t *schema_readable(const schema_table_t *table, str_t role);

#endif
