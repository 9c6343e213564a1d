/* Inside of the vCenter store: lists of items that one statement takes, in groups, with every failure named.
 */
#ifndef FUNCTIONS_VCENTER_ITEMS_H
#define FUNCTIONS_VCENTER_ITEMS_H

#include "functions/sync_summary.h"

/* One inventory on its way into the tables. */
typedef struct {
    api_task_t *task;
    db_session_t *session;
    str_t source; /* row of vcenters, or null */
    sync_summary_t *summary;
} vcenter_store_t;

typedef struct {
    const char *list, *name; /* for failures: what they are, and the member that people know one by */
    const char *member;      /* only this one is sent, with the id and the name; NULL: whole items */
    str_t sql;               /* $1: array of items, $2: the vCenter */
    void (*on_rows)(void *arg, const db_rows_t *rows); /* may be NULL */
    void *arg;
} vcenter_items_t;

/* One bad item costs the others nothing: after an error each of its group goes alone, and is counted and
 * named when it fails. An error ends the whole transaction. */
err_t *vcenter_items_take(const vcenter_store_t *store, const vcenter_items_t *what,
                          const json_t *items) MUST_CHECK;

/* What hangs on datastores and machines: which hosts mount a store, where a machine lies, its adapters,
 * snapshots and attributes. What an item tells of itself replaces what was stored for it; an absent member
 * leaves it. A link to something that is not stored is counted and named. The rows of both ends come first.
 */
err_t *vcenter_links_take(const vcenter_store_t *store, const char *list, const json_t *items) MUST_CHECK;

/* Ends the links of those of the list that the vCenter no longer has; `present`: JSON array of their ids.
 * What was last known of a machine itself stays with its row. */
err_t *vcenter_links_end(const vcenter_store_t *store, const char *list, str_t present) MUST_CHECK;

#endif
