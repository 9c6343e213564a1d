#include "rest/plan_cache.h"

#include "base/emit.h"
#include "base/lru.h"
#include "rest/operand.h"
#include "rest/parse.h"
#include "rest/sql.h"

#include <stdlib.h>

#define PLANS_MAX 512
#define BYTES_MAX (2 * 1024 * 1024)
#define PLAN_BYTES_MAX (64 * 1024)
#define SEEN_SLOTS 1024 /* a power of two */

struct rest_cached_plan {
    lru_node_t node; /* first */
    pool_t *pool;    /* it lives in here itself */
    unsigned refs;
    size_t size; /* what of the pool is counted in the cache's bytes */
    uint32_t operand_count;
    rest_columns_memo_t columns;
    rest_request_t request;
    rest_plan_t plan;
};

struct rest_plan_cache {
    lru_t *plans;
    size_t bytes;
    schema_snapshot_t *snapshot; /* NULL: none */
    rest_settings_box_t *box;
    bool is_by_role;
    int64_t hits, misses, unkeyed;
    uint64_t seen[SEEN_SLOTS]; /* hashes of keys that came once; a collision only keeps a plan too early */
};

/* ---- life ---- */

rest_plan_cache_t *rest_plan_cache_create(void)
{
    rest_plan_cache_t *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        abort();
    cache->plans = lru_create();
    return cache;
}

void rest_cached_plan_release(rest_cached_plan_t *cached)
{
    if (cached != NULL && --cached->refs == 0)
        pool_destroy(cached->pool);
}

static void drop(rest_plan_cache_t *cache, rest_cached_plan_t *cached)
{
    lru_remove(cache->plans, &cached->node);
    cache->bytes -= cached->size;
    rest_cached_plan_release(cached);
}

void rest_plan_cache_flush(rest_plan_cache_t *cache)
{
    lru_node_t *oldest;
    while ((oldest = lru_oldest(cache->plans)) != NULL)
        drop(cache, (rest_cached_plan_t *)(void *)oldest);
    schema_unref(cache->snapshot);
    cache->snapshot = NULL;
    if (cache->box != NULL)
        rest_settings_unref(cache->box);
    cache->box = NULL;
}

void rest_plan_cache_destroy(rest_plan_cache_t *cache)
{
    rest_plan_cache_flush(cache);
    lru_destroy(cache->plans);
    free(cache);
}

static bool has_expanding_star(const schema_snapshot_t *snapshot)
{
    for (size_t i = 0; i < snapshot->table_count; i++)
        if (snapshot->tables[i]->is_expanding_star)
            return true;
    return false;
}

void rest_plan_cache_enter(rest_plan_cache_t *cache, schema_snapshot_t *snapshot, rest_settings_box_t *box)
{
    if (cache->snapshot == snapshot && cache->box == box)
        return;
    rest_plan_cache_flush(cache);
    cache->snapshot = schema_ref(snapshot);
    cache->box = rest_settings_ref(box);
    cache->is_by_role = has_expanding_star(snapshot);
}

bool rest_plan_cache_is_by_role(const rest_plan_cache_t *cache)
{
    return cache->is_by_role;
}

size_t rest_plan_cache_count(const rest_plan_cache_t *cache)
{
    return lru_count(cache->plans);
}

void rest_plan_cache_inspect(const rest_plan_cache_t *cache, buf_t *out)
{
    emit_t emit;
    emit_init(&emit, out);
    emit_object_begin(&emit);
    emit_kv_int(&emit, "plans", (int64_t)lru_count(cache->plans));
    emit_kv_int(&emit, "bytes", (int64_t)cache->bytes);
    emit_kv_int(&emit, "hits", cache->hits);
    emit_kv_int(&emit, "misses", cache->misses);
    emit_kv_int(&emit, "unkeyed", cache->unkeyed);
    emit_object_end(&emit);
}

/* ---- keeping ---- */

static void *copy(pool_t *pool, const void *from, size_t size)
{
    return size > 0 ? memcpy(pool_alloc(pool, size), from, size) : NULL;
}

/* Values of parameters that are bound anew stay out. */
static void copy_stmt(pool_t *pool, const rest_plan_t *plan, uint32_t i, rest_plan_t *to)
{
    const db_stmt_t *from = &plan->stmts[i];
    size_t count = from->param_count;
    str_t *params = POOL_ARRAY(pool, str_t, count + 1);
    for (size_t k = 0; k < count; k++)
        if (plan->binds[i][k].kind == REST_BIND_FIXED)
            params[k] = pool_str(pool, from->params[k]);
    to->binds[i] = copy(pool, plan->binds[i], count * sizeof(rest_bind_t));
    to->stmts[i] = (db_stmt_t){.sql = pool_str(pool, from->sql),
                               .params = params,
                               .types = copy(pool, from->types, count * sizeof(uint32_t)),
                               .param_count = count,
                               .is_unprepared = from->is_unprepared,
                               .hash = str_hash(from->sql)};
}

static void copy_plan(pool_t *pool, const rest_plan_t *plan, rest_plan_t *to)
{
    *to = *plan;
    for (uint32_t i = 0; i < plan->stmt_count; i++)
        copy_stmt(pool, plan, i, to);
    db_setting_t *settings = POOL_ARRAY(pool, db_setting_t, plan->setting_count + 1);
    for (uint32_t i = 0; i < plan->setting_count; i++)
        settings[i] =
            (db_setting_t){pool_str(pool, plan->settings[i].name), pool_str(pool, plan->settings[i].value)};
    to->settings = settings;
    to->media.other = pool_str(pool, plan->media.other);
    to->media.plan_for_other = pool_str(pool, plan->media.plan_for_other);
    to->allow = pool_str(pool, plan->allow);
    to->warning = pool_str(pool, plan->warning);
    to->location_name = pool_str(pool, plan->location_name);
}

/* What run, result and response read of a request; the rest was the planner's. */
static void copy_request(pool_t *pool, const rest_request_t *from, rest_request_t *to)
{
    *to = (rest_request_t){.action = from->action,
                           .is_head = from->is_head,
                           .method = pool_str(pool, from->method),
                           .schema = pool_str(pool, from->schema),
                           .is_schema_negotiated = from->is_schema_negotiated,
                           .target = pool_str(pool, from->target),
                           .range = from->range,
                           .has_on_conflict = from->has_on_conflict,
                           .prefer = from->prefer,
                           .payload = {.kind = from->payload.kind, .is_object = from->payload.is_object},
                           .canonical_query = pool_str(pool, from->canonical_query),
                           .query_mark_count = from->query_mark_count};
    to->prefer.timezone = pool_str(pool, from->prefer.timezone);
    to->prefer.invalid = NULL;
    to->prefer.invalid_count = 0;
    to->query_marks = copy(pool, from->query_marks, from->query_mark_count * sizeof(*from->query_marks));
}

static size_t estimate(const rest_plan_key_t *key, const rest_request_t *request, const rest_plan_t *plan)
{
    size_t size = sizeof(rest_cached_plan_t) + 512 + key->text.len + request->canonical_query.len;
    for (uint32_t i = 0; i < plan->stmt_count; i++)
        size += plan->stmts[i].sql.len + 96 + plan->stmts[i].param_count * 64;
    return size;
}

/* A plan grows once: when the columns of its rows are known. */
static void count_bytes(rest_plan_cache_t *cache, rest_cached_plan_t *cached)
{
    cache->bytes += pool_used(cached->pool) - cached->size;
    cached->size = pool_used(cached->pool);
}

static void keep(rest_plan_cache_t *cache, const rest_plan_key_t *key, const rest_request_t *request,
                 const rest_plan_t *plan)
{
    pool_t *pool = pool_create_sized(estimate(key, request, plan));
    rest_cached_plan_t *cached = POOL_NEW(pool, rest_cached_plan_t);
    cached->pool = pool;
    cached->refs = 1;
    cached->operand_count = key->operand_count;
    cached->node.key = pool_str(pool, key->text);
    copy_plan(pool, plan, &cached->plan);
    copy_request(pool, request, &cached->request);
    cached->columns.pool = pool;
    lru_put(cache->plans, &cached->node);
    count_bytes(cache, cached);
    while (lru_count(cache->plans) > PLANS_MAX || cache->bytes > BYTES_MAX)
        drop(cache, (rest_cached_plan_t *)(void *)lru_oldest(cache->plans));
}

/* The parser has seen the same operands and payload as the reader of the key. */
static bool is_read_alike(const rest_plan_key_t *key, const rest_request_t *request)
{
    const rest_payload_t *payload = &request->payload;
    return !request->is_irregular && request->query_mark_count == key->operand_count &&
           (payload->kind == REST_PAYLOAD_NONE || str_eq(payload->text, key->payload));
}

static bool is_repeatable(const rest_plan_key_t *key, const rest_request_t *request, const rest_plan_t *plan)
{
    return !str_is_null(key->text) && is_read_alike(key, request) && !plan->is_single_use &&
           plan->stmt_count > 0 && plan->column_count == 0 && estimate(key, request, plan) <= PLAN_BYTES_MAX;
}

void rest_plan_cache_offer(rest_plan_cache_t *cache, const rest_plan_key_t *key,
                           const rest_request_t *request, const rest_plan_t *plan)
{
    if (!is_repeatable(key, request, plan))
        return;
    uint64_t hash = str_hash(key->text), *seen = &cache->seen[hash % SEEN_SLOTS];
    if (*seen == hash)
        keep(cache, key, request, plan);
    *seen = hash;
}

/* ---- using ---- */

rest_cached_plan_t *rest_plan_cache_get(rest_plan_cache_t *cache, const rest_plan_key_t *key)
{
    if (str_is_null(key->text)) {
        cache->unkeyed++;
        return NULL;
    }
    rest_cached_plan_t *cached = (rest_cached_plan_t *)(void *)lru_get(cache->plans, key->text);
    bool is_hit = cached != NULL && cached->operand_count == key->operand_count;
    cache->hits += is_hit;
    cache->misses += !is_hit;
    if (!is_hit)
        return NULL;
    count_bytes(cache, cached);
    cached->refs++;
    return cached;
}

rest_columns_memo_t *rest_cached_plan_columns(rest_cached_plan_t *cached)
{
    return &cached->columns;
}

static str_t bound_value(pool_t *pool, const rest_plan_key_t *key, rest_bind_t bind)
{
    if (bind.kind == REST_BIND_BODY)
        return key->payload;
    str_t operand = key->operands[bind.operand - 1];
    switch (bind.kind) {
    case REST_BIND_PATTERN:
        return sql_pattern(pool, operand);
    case REST_BIND_LIST:
        return rest_operand_array(pool, operand);
    default:
        return operand;
    }
}

static const str_t *bind_params(pool_t *pool, const rest_plan_key_t *key, const db_stmt_t *stmt,
                                const rest_bind_t *binds)
{
    str_t *params = pool_alloc(pool, stmt->param_count * sizeof(*params));
    for (size_t i = 0; i < stmt->param_count; i++)
        params[i] = binds[i].kind == REST_BIND_FIXED ? stmt->params[i] : bound_value(pool, key, binds[i]);
    return params;
}

static str_t query_of(const rest_request_t *request, pool_t *pool, const rest_plan_key_t *key)
{
    if (request->query_mark_count == 0)
        return request->canonical_query;
    buf_t out;
    size_t at = 0;
    buf_init(&out, pool, request->canonical_query.len + 64);
    for (uint32_t i = 0; i < request->query_mark_count; i++) {
        const rest_query_mark_t *mark = &request->query_marks[i];
        buf_append_str(&out, str_slice(request->canonical_query, at, mark->at));
        rest_url_encode(&out, key->operands[mark->operand - 1]);
        at = mark->at + mark->len;
    }
    buf_append_str(&out, str_slice(request->canonical_query, at, request->canonical_query.len));
    return buf_str(&out);
}

void rest_cached_plan_bind(const rest_cached_plan_t *cached, pool_t *pool, const rest_plan_key_t *key,
                           rest_request_t *request, rest_plan_t *plan)
{
    *request = cached->request;
    request->payload.text = key->payload;
    request->canonical_query = query_of(&cached->request, pool, key);
    *plan = cached->plan;
    for (uint32_t i = 0; i < plan->stmt_count; i++)
        if (plan->stmts[i].param_count > 0)
            plan->stmts[i].params = bind_params(pool, key, &cached->plan.stmts[i], cached->plan.binds[i]);
}
