/* Rules of the query string's little languages: names, JSON paths, select, order, logic trees. Each works on
 * a scanner (its error is the peer's message) and none looks at the schema. */
#ifndef REST_GRAMMAR_H
#define REST_GRAMMAR_H

#include "rest/stages.h"

/* Blanks around `c`. */
bool rest_scan_lexeme(scan_t *scan, char c);
/* '.', expected as "delimiter (.)". */
bool rest_scan_delimiter(scan_t *scan);
/* try(look ahead for `literal`) */
bool rest_scan_ahead(scan_t *scan, str_t literal);
/* try(eof) */
bool rest_scan_end(scan_t *scan);

/* "quoted" or letters, digits, '_', '$', blanks inside, joined by '-'. */
bool rest_scan_name(scan_t *scan, str_t *out);
/* Name and JSON path, blanks around. */
bool rest_scan_field(scan_t *scan, rest_field_t *out);
/* Path only: any number of ->key, ->>key, ->1. */
bool rest_scan_json_path(scan_t *scan, rest_field_t *out);
/* `a.b.field->path`: everything but the last name is the path. */
bool rest_scan_tree_path(scan_t *scan, rest_path_t *path, rest_field_t *field);
/* Comma separated names. */
bool rest_scan_columns(scan_t *scan, const str_t **out, uint32_t *count);

/* A select list; limits from the settings. */
bool rest_scan_select(scan_t *scan, const rest_settings_t *settings, rest_select_t **out, uint32_t *count);
bool rest_scan_order(scan_t *scan, const rest_settings_t *settings, rest_order_t *out);
/* `and(..)`, `not.or(..)`, or one filter. */
bool rest_scan_logic(scan_t *scan, const rest_settings_t *settings, rest_logic_t *out);

/* PGRST100 of a failed scan: `source` is what the message names. */
err_t *rest_scan_error(pool_t *pool, const scan_t *scan, str_t source);

/* Doubles an array in the pool when it is full. */
void *rest_grow(pool_t *pool, void *array, uint32_t count, uint32_t *capacity, size_t size);

#endif
