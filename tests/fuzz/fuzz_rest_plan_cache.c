/* A plan that another request left in the cache, bound to this request's values, is the plan that would have
 * been made for it. First byte: method; second: target and Accept; third: Prefer, payload and role; the rest
 * is the query string. */
#include "plan_twin.h"
#include "rest/parse.h"
#include "snapshot_fixture.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rest_settings_box_t box = {.refs = 1};
static schema_snapshot_t *snapshot;

typedef struct {
    rest_request_t request;
    rest_plan_t plan;
    err_t *err;
} made_t;

static made_t make(pool_t *pool, const rest_input_t *in, const identity_t *identity)
{
    made_t out;
    out.err = rest_parse(&box.values, pool, in, &out.request);
    if (out.err == NULL)
        out.err = rest_plan(&box.values, pool, &out.request, snapshot, identity, &out.plan);
    return out;
}

static void broken(const rest_input_t *in, const char *what)
{
    fprintf(stderr, "%.*s %.*s?%.*s: %s\n", (int)in->method.len, in->method.base, (int)in->path.len,
            in->path.base, (int)in->query.len, in->query.base, what);
    __builtin_trap();
}

/* `own` is asked for, `twin` was there before. */
static void check(pool_t *pool, const rest_input_t *in, const rest_input_t *twin, const identity_t *identity)
{
    rest_plan_key_t key, twin_key;
    rest_plan_key_read(&box.values, pool, in, identity->role, &key);
    if (str_is_null(key.text))
        return;
    rest_plan_key_read(&box.values, pool, twin, identity->role, &twin_key);
    if (!str_eq(key.text, twin_key.text) || key.operand_count != twin_key.operand_count)
        broken(in, "the key depends on values");
    made_t own = make(pool, in, identity), other = make(pool, twin, identity);
    if ((own.err == NULL) != (other.err == NULL) ||
        (own.err != NULL && !str_eq(own.err->code, other.err->code)))
        broken(in, "the outcome depends on values");
    if (own.err != NULL)
        return;
    rest_plan_cache_t *cache = rest_plan_cache_create();
    rest_plan_cache_enter(cache, snapshot, &box);
    rest_plan_cache_offer(cache, &twin_key, &other.request, &other.plan);
    rest_plan_cache_offer(cache, &twin_key, &other.request, &other.plan);
    rest_cached_plan_t *cached = rest_plan_cache_get(cache, &key);
    if (cached != NULL) {
        made_t bound;
        rest_cached_plan_bind(cached, pool, &key, &bound.request, &bound.plan);
        const char *what = plan_twin_difference(&bound.request, &bound.plan, &own.request, &own.plan);
        if (what != NULL)
            broken(in, what);
    }
    rest_plan_cache_destroy(cache);
    rest_cached_plan_release(cached);
}

static void set_up(void)
{
    rest_settings_default(&box.values);
    static const str_t SCHEMAS[] = {{"api", 3}};
    box.values.schemas = SCHEMAS;
    box.values.has_aggregates = true;
    box.values.is_plan_enabled = true;
    box.values.list_max = 4;
    snapshot = snapshot_fixture();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const str_t METHODS[] = {STR("GET"), STR("GET"),   STR("HEAD"), STR("POST"),
                                    STR("GET"), STR("PATCH"), STR("PUT"),  STR("DELETE")};
    static const str_t PATHS[] = {STR("/projects"),        STR("/clients"),    STR("/tasks"),
                                  STR("/settings"),        STR("/rpc/add"),    STR("/rpc/find_projects"),
                                  STR("/project_details"), STR("/rpc/summary")};
    static const str_t ACCEPTS[] = {{NULL, 0},
                                    STR("text/csv"),
                                    STR("application/vnd.pgrst.object+json;nulls=stripped"),
                                    STR("application/vnd.pgrst.plan+json")};
    static const str_t PREFERS[] = {STR("return=representation"), STR("count=exact, missing=default"),
                                    STR("resolution=merge-duplicates, return=headers-only"),
                                    STR("count=estimated, timezone=UTC, handling=strict, max-affected=3")};
    static const str_t BODIES[][2] = {
        {STR("{\"id\":1,\"name\":\"a\"}"), STR("{\"name\":[\"$1\"],\"id\":null}")},
        {STR("[{\"id\":1},{\"id\":2}]"), STR("[{\"id\":\"'\"}]")},
        {STR("[]"), STR("[ ]")},
        {STR("{\"a\":1,\"b\":2}"), STR("{\"a\":\"$2\",\"b\":{}}")}};
    static const str_t ROLES[] = {STR("web"), STR("blind")};
    if (size < 3)
        return 0;
    if (snapshot == NULL)
        set_up();
    pool_t *pool = pool_create();
    const str_t *bodies = BODIES[(data[2] >> 2) & 3];
    rest_input_t in = {.method = METHODS[data[0] & 7],
                       .path = PATHS[data[1] & 7],
                       .query = str_make((const char *)data + 3, size - 3),
                       .body = bodies[0],
                       .accept = ACCEPTS[(data[1] >> 3) & 3],
                       .prefers = &PREFERS[data[2] & 3],
                       .prefer_count = (data[2] >> 5) & 1};
    identity_t identity = {.role = ROLES[(data[2] >> 4) & 1]};
    rest_input_t twin = plan_twin_of(pool, &box.values, &in, bodies[1]);
    check(pool, &in, &twin, &identity);
    check(pool, &twin, &in, &identity);
    pool_destroy(pool);
    return 0;
}
