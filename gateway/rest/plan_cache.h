/* Plans of the requests that come again: what parsing, planning and writing SQL yielded, by rest_plan_key_t.
 * A hit binds the request's own operands and payload to the statements; nothing else of the request that made
 * the plan is in it. Errors are never kept. Bounded in number and bytes, the least recently used goes first;
 * a plan is kept when its key comes for the second time, so that requests which never repeat push nothing
 * out. Loop thread only. */
#ifndef REST_PLAN_CACHE_H
#define REST_PLAN_CACHE_H

#include "rest/plan_key.h"
#include "rest/render.h"
#include "rest/settings.h"
#include "schema/snapshot.h"

typedef struct rest_plan_cache rest_plan_cache_t;
typedef struct rest_cached_plan rest_cached_plan_t;

rest_plan_cache_t *rest_plan_cache_create(void);
void rest_plan_cache_destroy(rest_plan_cache_t *cache); /* plans in use live until they are released */

/* Plans are those of one snapshot and one configuration. Others than before empty the cache. */
void rest_plan_cache_enter(rest_plan_cache_t *cache, schema_snapshot_t *snapshot, rest_settings_box_t *box);
/* Lets go of both, with all plans. */
void rest_plan_cache_flush(rest_plan_cache_t *cache);
/* What a role may read shows in plans of this snapshot: the role belongs to their keys. */
bool rest_plan_cache_is_by_role(const rest_plan_cache_t *cache);

/* NULL when there is none. Counted: release it when its statements have run. */
rest_cached_plan_t *rest_plan_cache_get(rest_plan_cache_t *cache, const rest_plan_key_t *key);
void rest_cached_plan_release(rest_cached_plan_t *cached); /* NULL is allowed */

/* The plan with the operands and the payload of `key`, and of the request what is needed behind planning.
 * Both borrow from the cached plan, the key and the pool. */
void rest_cached_plan_bind(const rest_cached_plan_t *cached, pool_t *pool, const rest_plan_key_t *key,
                           rest_request_t *request, rest_plan_t *plan);

/* Of the plan's rows, for rest_render_init. */
rest_columns_memo_t *rest_cached_plan_columns(rest_cached_plan_t *cached);

/* A plan that was made just now. Copied when it is worth it. */
void rest_plan_cache_offer(rest_plan_cache_t *cache, const rest_plan_key_t *key,
                           const rest_request_t *request, const rest_plan_t *plan);

size_t rest_plan_cache_count(const rest_plan_cache_t *cache);
/* {"plans":..,"bytes":..,"hits":..,"misses":..,"unkeyed":..}; unkeyed are requests without a key. */
void rest_plan_cache_inspect(const rest_plan_cache_t *cache, buf_t *out);

#endif
