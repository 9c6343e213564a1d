/* Private to json_path*.c: a parsed query. */
#ifndef TOKEN_JSON_PATH_PARTS_H
#define TOKEN_JSON_PATH_PARTS_H

#include "base/match.h"
#include "token/json_path.h"

typedef enum {
    SELECT_NAME,   /* member by name */
    SELECT_INDEX,  /* element by position, negative from the end */
    SELECT_SLICE,  /* elements from start to end */
    SELECT_ALL,    /* every member or element */
    SELECT_FILTER, /* those that pass */
} select_kind_t;

typedef struct selector {
    select_kind_t kind;
    str_t name;
    int64_t start, end, step; /* an index is a start */
    bool has_start, has_end;
    const struct condition *condition;
    struct selector *next;
} selector_t;

typedef struct segment {
    bool is_descendant; /* of the value itself and of all below it */
    selector_t *selectors;
    struct segment *next;
} segment_t;

struct json_path {
    bool is_root;     /* begins at "$", else at "@" */
    bool is_singular; /* at most one value: names and indexes only */
    segment_t *segments;
};

/* A value in a comparison: a literal, or what a query selects. */
typedef struct {
    const json_t *literal;
    const json_path_t *query;
} operand_t;

typedef enum { IS_OR, IS_AND, IS_NOT, IS_THERE, IS_FOUND, IS_COMPARED } condition_kind_t;
typedef enum { COMPARE_EQ, COMPARE_NE, COMPARE_LE, COMPARE_GE, COMPARE_LT, COMPARE_GT } compare_t;

typedef struct condition {
    condition_kind_t kind;
    const struct condition *left, *right; /* of or, and; not has the left one */
    operand_t a, b;                       /* there and found have a */
    compare_t compare;
    match_t *regex;
} condition_t;

#endif
