/* The `filter` of a postgres_changes subscription: "status=eq.open,id=in.(1,2)" (all must hold). Parsed here,
 * judged by PostgreSQL with the column's own type and operators, so that a filter means what it means in SQL.
 */
#ifndef REALTIME_CHANGE_FILTER_H
#define REALTIME_CHANGE_FILTER_H

#include "base/buf.h"

#define RT_FILTER_CONDS_MAX 32
#define RT_FILTER_IN_MAX 100

typedef enum {
    RT_OP_EQ,
    RT_OP_NEQ,
    RT_OP_LT,
    RT_OP_LTE,
    RT_OP_GT,
    RT_OP_GTE,
    RT_OP_IN,
    RT_OP_LIKE,
    RT_OP_ILIKE,
    RT_OP_IS,
    RT_OP_MATCH,
    RT_OP_IMATCH,
    RT_OP_ISDISTINCT,
    RT_OP_COUNT
} rt_op_t;

typedef struct {
    str_t column;
    rt_op_t op;
    bool is_negated;
    str_t value; /* unquoted; for IN an array literal "{..}" */
} rt_cond_t;

typedef struct {
    str_t text; /* as sent; the key under which equal filters are judged once */
    rt_cond_t *conds;
    size_t count; /* 0: everything matches */
} rt_filter_t;

/* Strings live in `pool`. On a bad filter returns false and sets *why to the peer's text. */
bool rt_filter_parse(pool_t *pool, str_t text, rt_filter_t *out, str_t *why);

str_t rt_op_name(rt_op_t op);

/* like, ilike, match, imatch: only for text, char(n) and name (like: also bytea). */
bool rt_op_is_pattern(rt_op_t op);

/* Appends the condition on the column of the record r, with the value as parameter number `param` cast to
 * `type` (quoted name without a length). IS takes no parameter: false is returned when none was used. */
bool rt_cond_write(buf_t *sql, const rt_cond_t *cond, str_t type, size_t param);

/* `[{"id", "eq", "hey", false}]`, as error messages show filters. */
void rt_filter_write_debug(buf_t *out, const rt_filter_t *filter);

#endif
