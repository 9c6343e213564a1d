/* Operands: what of a query parameter is a value and nothing else. In `id=eq.5` the 5 changes neither the
 * statement nor how the rest is read, so that requests which differ in operands alone share one plan
 * (rest/plan_cache.h). Both the parser and the reader of keys ask here, so that they agree on which
 * parameters have one. */
#ifndef REST_OPERAND_H
#define REST_OPERAND_H

#include "filter/filter.h"

typedef enum {
    REST_OPERAND_NONE,    /* the whole parameter is structure */
    REST_OPERAND_VALUE,   /* behind `[not.]op[(modifier)].` */
    REST_OPERAND_LIST,    /* `(a,b)` behind `in.`, of elements without quotes, brackets and blanks */
    REST_OPERAND_ARGUMENT /* of a routine called by GET: the whole value */
} rest_operand_kind_t;

typedef struct {
    rest_operand_kind_t kind;
    size_t at; /* where it begins, in the decoded value as in the raw one */
} rest_operand_t;

/* `name` and `raw` as they stand in the query string, `value` = `raw` decoded. An in-list longer than
 * `list_max` is none. */
rest_operand_t rest_operand_find(str_t name, str_t raw, str_t value, bool is_call_read, uint32_t list_max);

/* The text of the array that a REST_OPERAND_LIST stands for. */
str_t rest_operand_array(pool_t *pool, str_t list);

/* Parameters with a meaning of their own, by their whole name or its last word: not filters. */
bool rest_param_is_order(str_t name);
bool rest_param_is_logic(str_t name);
bool rest_param_is_range(str_t name);
bool rest_param_is_filter(str_t name);

/* PostgreSQL takes it as text: UTF-8 without zeros. */
bool rest_text_is_sound(str_t text);

#endif
