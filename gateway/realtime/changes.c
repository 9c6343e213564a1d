/* Subscriptions to table changes: from the join's parameters to being in force. All or nothing per channel.
 */
#include "base/clock.h"
#include "base/emit.h"
#include "realtime/inside.h"
#include "realtime/judge.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 8000, RETRY_SECONDS = 5, CHANGES_BYTES = 768 };

#define UNABLE "Unable to subscribe to changes with given parameters. "

static const char RESOLVE_SQL[] =
    "select e.n, d.t from json_array_elements($1::json) with ordinality as e (b, n), "
    "lateral basalt.feed_describe(array(select basalt.feed_find(e.b->>0, e.b->>1)), $2) as d (t)";

static void check_next(rt_changes_t *changes);

/* --- errors */

static str_t condition_name(str_t sqlstate)
{
    static const str_t names[][2] = {
        {STR("22P02"), STR("invalid_text_representation")},
        {STR("22003"), STR("numeric_value_out_of_range")},
        {STR("22007"), STR("invalid_datetime_format")},
        {STR("22008"), STR("datetime_field_overflow")},
        {STR("2201B"), STR("invalid_regular_expression")},
        {STR("42883"), STR("undefined_function")},
        {STR("42704"), STR("undefined_object")},
        {STR("42501"), STR("insufficient_privilege")},
        {STR("23514"), STR("check_violation")},
        {STR("57014"), STR("query_canceled")},
        {STR("P0001"), STR("raise_exception")},
        {STR("22023"), STR("invalid_parameter_value")},
        {STR("3F000"), STR("invalid_schema_name")},
        {STR("42P01"), STR("undefined_table")},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_eq(sqlstate, names[i][0]))
            return names[i][1];
    }
    return STR("error");
}

/* The attempt is over; so is what was in force, since it may have been for another token. */
static void give_up(rt_changes_t *changes, str_t message)
{
    rt_channel_t *channel = changes->channel;
    changes->state = RT_CHANGES_FAILED;
    rt_channel_system(channel, STR("postgres_changes"), false, message);
    rt_changes_destroy(channel->changes);
    channel->changes = NULL;
    if (channel->next_changes == changes)
        channel->next_changes = NULL;
    rt_changes_destroy(changes);
}

static void give_up_on(rt_changes_t *changes, const rt_binding_t *binding, str_t exception)
{
    buf_t out;
    buf_init(&out, changes->scratch, 512);
    buf_append_lit(&out, UNABLE);
    buf_append_str(&out, str_is_null(exception)
                             ? STR("Please check Realtime is enabled for the given connect parameters: ")
                             : STR("An exception happened so please check your connect parameters: "));
    rt_binding_write_debug(&out, binding);
    if (!str_is_null(exception)) {
        buf_append_lit(&out, ". Exception: ");
        buf_append_str(&out, exception);
    }
    give_up(changes, buf_str(&out));
}

bool rt_error_is_passing(const err_t *error)
{
    static const str_t prefixes[] = {STR("PGRST0"), STR("08"), STR("53"), STR("57P")};
    if (error->family != ERR_FAMILY_DATABASE && error->family != ERR_FAMILY_REQUEST)
        return true;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (str_starts_with(error->code, prefixes[i]))
            return true;
    }
    return false;
}

/* Tried again in a while; what is in force stays so. */
static void try_later(rt_changes_t *changes, const err_t *error)
{
    rt_channel_t *channel = changes->channel;
    rt_channel_system(channel, STR("postgres_changes"), false, error->message);
    channel->retry_changes_at = clock_unix() + RETRY_SECONDS;
    channel->next_changes = NULL;
    rt_changes_destroy(changes);
}

static str_t exception_text(pool_t *pool, const err_t *error)
{
    return pool_printf(pool, "ERROR %.*s (%.*s) %.*s", STR_ARG(error->code),
                       STR_ARG(condition_name(error->code)), STR_ARG(error->message));
}

/* --- in force */

rt_watch_t *rt_watch_find(rt_t *rt, uint32_t relid)
{
    return map_get(rt->watches, str_make((const char *)&relid, sizeof(relid)));
}

static rt_watch_t *watch_get(rt_t *rt, uint32_t relid)
{
    rt_watch_t *watch = rt_watch_find(rt, relid);
    if (watch == NULL) {
        watch = calloc(1, sizeof(*watch));
        if (watch == NULL)
            abort();
        watch->relid = relid;
        map_put(rt->watches, str_make((const char *)&watch->relid, sizeof(watch->relid)), watch);
    }
    return watch;
}

static void watch_add(rt_t *rt, rt_sub_t *sub, uint32_t relid)
{
    rt_watch_t *watch = watch_get(rt, relid);
    if (watch->count == watch->capacity) {
        watch->capacity = watch->capacity == 0 ? 4 : 2 * watch->capacity;
        watch->subs = realloc(watch->subs, watch->capacity * sizeof(rt_sub_t *));
        if (watch->subs == NULL)
            abort();
    }
    sub->watch = watch;
    sub->position = watch->count;
    watch->subs[watch->count++] = sub;
}

static void watch_remove(rt_t *rt, rt_sub_t *sub)
{
    rt_watch_t *watch = sub->watch;
    rt_sub_t *last = watch->subs[--watch->count];
    watch->subs[sub->position] = last;
    last->position = sub->position;
    sub->watch = NULL;
    if (watch->count == 0) {
        map_remove(rt->watches, str_make((const char *)&watch->relid, sizeof(watch->relid)));
        free(watch->subs);
        free(watch);
    }
}

static void waiting_remove(rt_changes_t *changes)
{
    if (changes->link == NULL)
        return;
    *changes->link = changes->next;
    if (changes->next != NULL)
        changes->next->link = changes->link;
    changes->link = NULL;
}

static void waiting_add(rt_changes_t *changes)
{
    rt_t *rt = changes->rt;
    changes->next = rt->waiting;
    changes->link = &rt->waiting;
    if (rt->waiting != NULL)
        rt->waiting->link = &changes->next;
    rt->waiting = changes;
}

void rt_changes_destroy(rt_changes_t *changes)
{
    if (changes == NULL)
        return;
    rt_t *rt = changes->rt;
    if (changes->tx != NULL)
        db_tx_cancel(changes->tx);
    waiting_remove(changes);
    for (size_t i = 0; i < changes->sub_count; i++) {
        if (changes->subs[i].watch != NULL)
            watch_remove(rt, &changes->subs[i]);
        rt_table_unref(changes->tables[i]);
    }
    for (size_t i = 0; i < changes->root_count; i++)
        rt_feed_unwant(rt->feed, changes->roots[i]);
    rt_viewer_unref(rt, changes->viewer);
    free(changes->subs);
    free(changes->tables);
    pool_destroy(changes->scratch);
    pool_destroy(changes->pool);
}

static void put_in_force(rt_changes_t *changes)
{
    rt_channel_t *channel = changes->channel;
    waiting_remove(changes);
    changes->state = RT_CHANGES_IN_FORCE;
    rt_changes_t *old = channel->changes;
    channel->changes = changes;
    channel->next_changes = NULL;
    for (size_t i = 0; i < changes->sub_count; i++) {
        watch_add(changes->rt, &changes->subs[i], changes->tables[i]->relid);
        rt_table_unref(changes->tables[i]);
        changes->tables[i] = NULL;
    }
    pool_destroy(changes->scratch);
    changes->scratch = NULL;
    rt_changes_destroy(old);
    rt_channel_system(channel, STR("postgres_changes"), true, STR("Subscribed to PostgreSQL"));
}

static bool are_roots_held(const rt_changes_t *changes)
{
    for (size_t i = 0; i < changes->root_count; i++) {
        if (!rt_feed_holds(changes->rt->feed, changes->roots[i]))
            return false;
    }
    return true;
}

void rt_changes_advance(rt_t *rt, uint64_t reads_begun, uint64_t reads_done)
{
    for (rt_changes_t *changes = rt->waiting, *next; changes != NULL; changes = next) {
        next = changes->next;
        if (changes->state == RT_CHANGES_ARMING && are_roots_held(changes)) {
            changes->state = RT_CHANGES_SETTLING;
            changes->settle_read = reads_begun + 1;
        } else if (changes->state == RT_CHANGES_SETTLING && !are_roots_held(changes)) {
            changes->state = RT_CHANGES_ARMING; /* the feed lost its connection meanwhile */
        } else if (changes->state == RT_CHANGES_SETTLING && reads_done >= changes->settle_read) {
            put_in_force(changes);
        }
    }
}

static void want_root(rt_changes_t *changes, uint32_t root)
{
    for (size_t i = 0; i < changes->root_count; i++) {
        if (changes->roots[i] == root)
            return;
    }
    changes->roots[changes->root_count++] = root;
    rt_feed_want(changes->rt->feed, root);
}

static void arm(rt_changes_t *changes)
{
    changes->state = RT_CHANGES_ARMING;
    changes->roots = POOL_ARRAY(changes->pool, uint32_t, changes->sub_count);
    for (size_t i = 0; i < changes->sub_count; i++)
        want_root(changes, changes->tables[i]->root);
    waiting_add(changes);
    rt_feed_nudge(changes->rt->feed);
}

/* --- trying the filters: PostgreSQL casts the values and looks for the operators */

static void ignore_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    (void)arg, (void)stmt, (void)values, (void)count;
}

static void on_checked(void *arg, const err_t *error)
{
    rt_changes_t *changes = arg;
    changes->tx = NULL;
    if (error != NULL && rt_error_is_passing(error)) {
        try_later(changes, error);
        return;
    }
    if (error != NULL) {
        give_up_on(changes, changes->subs[changes->check_at].binding,
                   exception_text(changes->scratch, error));
        return;
    }
    changes->check_at++;
    check_next(changes);
}

/* Patterns are compiled only when they meet a value. */
static void write_pattern_trials(buf_t *sql, const rt_table_t *table, const rt_filter_t *filter)
{
    const char *lead = " where";
    for (size_t c = 0, param = 1; c < filter->count; c++) {
        const rt_cond_t *cond = &filter->conds[c];
        if (cond->op != RT_OP_IS)
            param++;
        const rt_column_t *column = rt_table_column(table, cond->column);
        if ((cond->op == RT_OP_MATCH || cond->op == RT_OP_IMATCH) && column != NULL) {
            buf_printf(sql, "%s 'x'::pg_catalog.text ~ $%zu", lead, param);
            lead = " and";
        }
    }
}

static void submit_check(rt_changes_t *changes, const rt_table_t *table, const rt_filter_t *filter)
{
    static const db_tx_handlers_t handlers = {.on_row = ignore_row, .on_done = on_checked};
    buf_t sql;
    buf_init(&sql, changes->scratch, 512);
    str_t *params = POOL_ARRAY(changes->scratch, str_t, filter->count + 1);
    params[0] = STR("[{}]");
    size_t used = rt_judge_filter_sql(&sql, table, &filter, 1, params + 1);
    write_pattern_trials(&sql, table, filter);
    changes->stmt =
        (db_stmt_t){.sql = buf_str(&sql), .params = params, .param_count = used + 1, .is_unprepared = true};
    db_tx_spec_t spec = {.role = changes->viewer->role,
                         .settings = changes->settings,
                         .setting_count = rt_judge_settings(changes->viewer, changes->settings),
                         .is_read_only = true,
                         .stmts = &changes->stmt,
                         .stmt_count = 1,
                         .timeout_ms = TIMEOUT_MS};
    changes->tx = db_tx_submit(changes->rt->gateway->request_pool, &spec, &handlers, changes);
}

static void check_next(rt_changes_t *changes)
{
    for (; changes->check_at < changes->sub_count; changes->check_at++) {
        const rt_filter_t *filter = &changes->subs[changes->check_at].binding->filter;
        const rt_table_t *table = changes->tables[changes->check_at];
        if (filter->count == 0)
            continue;
        const char *refusal = rt_judge_refusal(changes->scratch, table, filter);
        if (refusal != NULL)
            give_up_on(changes, changes->subs[changes->check_at].binding, str_from_c(refusal));
        else
            submit_check(changes, table, filter);
        return;
    }
    arm(changes);
}

/* --- resolving: which published tables are meant */

static void on_resolve_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    rt_changes_t *changes = arg;
    (void)stmt, (void)count;
    int64_t number = 0;
    rt_channel_t *channel = changes->channel;
    if (!str_to_int64(values[0], &number) || number < 1 || (size_t)number > channel->config.binding_count)
        return;
    rt_table_t *table = rt_table_load(changes->rt, values[1], changes->viewer->role);
    if (table == NULL)
        return;
    if (changes->sub_count == changes->sub_capacity) {
        changes->sub_capacity = changes->sub_capacity == 0 ? 4 : 2 * changes->sub_capacity;
        changes->subs = realloc(changes->subs, changes->sub_capacity * sizeof(rt_sub_t));
        changes->tables = realloc(changes->tables, changes->sub_capacity * sizeof(rt_table_t *));
        if (changes->subs == NULL || changes->tables == NULL)
            abort();
    }
    changes->tables[changes->sub_count] = table;
    changes->subs[changes->sub_count++] =
        (rt_sub_t){.changes = changes, .binding = &channel->config.bindings[number - 1]};
}

static void on_resolved(void *arg, const err_t *error)
{
    rt_changes_t *changes = arg;
    const rt_join_config_t *config = &changes->channel->config;
    changes->tx = NULL;
    if (error != NULL && rt_error_is_passing(error)) {
        try_later(changes, error);
        return;
    }
    if (error != NULL) {
        give_up_on(changes, &config->bindings[0], exception_text(changes->scratch, error));
        return;
    }
    for (size_t i = 0; i < config->binding_count; i++) {
        bool is_found = false;
        for (size_t s = 0; s < changes->sub_count; s++)
            is_found |= changes->subs[s].binding == &config->bindings[i];
        if (!is_found) {
            give_up_on(changes, &config->bindings[i], STR_NULL);
            return;
        }
    }
    changes->state = RT_CHANGES_CHECKING;
    check_next(changes);
}

static str_t bindings_param(pool_t *pool, const rt_join_config_t *config)
{
    buf_t out;
    buf_init(&out, pool, 256);
    emit_t emit;
    emit_init(&emit, &out);
    emit_array_begin(&emit);
    for (size_t i = 0; i < config->binding_count; i++) {
        emit_array_begin(&emit);
        emit_string(&emit, config->bindings[i].schema);
        emit_string(&emit, config->bindings[i].table);
        emit_array_end(&emit);
    }
    emit_array_end(&emit);
    return buf_str(&out);
}

static void submit_resolve(rt_changes_t *changes)
{
    static const db_tx_handlers_t handlers = {.on_row = on_resolve_row, .on_done = on_resolved};
    changes->params[0] = bindings_param(changes->scratch, &changes->channel->config);
    changes->params[1] = changes->viewer->role;
    changes->stmt = (db_stmt_t){.sql = str_from_c(RESOLVE_SQL), .params = changes->params, .param_count = 2};
    db_tx_spec_t spec = {
        .is_read_only = true, .stmts = &changes->stmt, .stmt_count = 1, .timeout_ms = TIMEOUT_MS};
    changes->tx = db_tx_submit(changes->rt->gateway->internal_pool, &spec, &handlers, changes);
}

void rt_changes_retry(rt_channel_t *channel, int64_t now)
{
    if (channel->retry_changes_at != 0 && channel->retry_changes_at <= now)
        rt_changes_start(channel);
}

void rt_changes_start(rt_channel_t *channel)
{
    rt_t *rt = channel->socket->rt;
    const rt_join_config_t *config = &channel->config;
    if (config->binding_count == 0)
        return;
    rt_changes_destroy(channel->next_changes);
    channel->retry_changes_at = 0;
    pool_t *pool = pool_create_sized(CHANGES_BYTES);
    rt_changes_t *changes = POOL_NEW(pool, rt_changes_t);
    *changes = (rt_changes_t){.state = RT_CHANGES_RESOLVING, .rt = rt, .channel = channel, .pool = pool};
    changes->scratch = pool_create();
    changes->viewer = rt_viewer_get(rt, &channel->identity);
    channel->next_changes = changes;
    for (size_t i = 0; i < config->binding_count; i++) {
        if (!str_is_null(config->bindings[i].problem)) {
            give_up(changes, config->bindings[i].problem);
            return;
        }
    }
    if (rt->feed == NULL)
        give_up_on(changes, &config->bindings[0], STR_NULL);
    else
        submit_resolve(changes);
}
