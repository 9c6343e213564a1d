/* SQL that judges changes: filters with the column's own type, and row visibility under a viewer's policies.
 */
#ifndef REALTIME_JUDGE_H
#define REALTIME_JUDGE_H

#include "realtime/inside.h"

/* Filters of one table judged by one statement: bounded, so that target lists and parameters stay small. */
enum { RT_JUDGE_FILTERS_MAX = 200 };

/* `select e.n, (<filter>), .. from json_array_elements($1) ..`: one row per image in the array $1 (n from 1),
 * one boolean per filter. Parameters from $2 on are appended to `params` (room for all conditions). Returns
 * how many. */
size_t rt_judge_filter_sql(buf_t *sql, const rt_table_t *table, const rt_filter_t *const *filters,
                           size_t count, str_t *params);

/* `select e.n from json_array_elements($1) .. where exists (..)`: the images in $1 whose row the role may see
 * now. */
void rt_judge_policy_sql(buf_t *sql, const rt_table_t *table);

/* NULL, or why the filter cannot be used on this table by this role: a database error's text. */
const char *rt_judge_refusal(pool_t *pool, const rt_table_t *table, const rt_filter_t *filter);

/* Settings of a statement under a viewer: its claims, and a search path on which user-defined operators are
 * found. */
size_t rt_judge_settings(const rt_viewer_t *viewer, db_setting_t settings[RT_VIEWER_SETTINGS]);

/* Whether every column of the filter is in the old record of a DELETE. */
bool rt_judge_can_delete(const rt_table_t *table, const rt_filter_t *filter);

#endif
