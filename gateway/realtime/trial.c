/* Asking the database about a batch: filters once per table and role, policies once per table and viewer.
 * What raises an error is asked again in pieces, and a piece that raises counts as not matching, not visible.
 */
#include "realtime/batch.h"

enum { TIMEOUT_MS = 5000 };

typedef struct {
    rt_asking_t asking;
    rt_judged_t *judged;
    bool is_policy;
    size_t first, count; /* filters; or the viewer's index and 1 */
    size_t change, change_count;
    size_t *asked; /* the change (index in judged->changes) behind each image */
    size_t asked_count;
    buf_t sql;
    str_t *params;
    db_stmt_t stmt;
    db_setting_t settings[RT_VIEWER_SETTINGS];
} trial_t;

static void submit(trial_t *trial);

static rt_change_t *change_at(const rt_judged_t *judged, size_t i)
{
    return &judged->batch->changes[judged->changes[i]];
}

static trial_t *make_trial(rt_judged_t *judged, bool is_policy, size_t first, size_t count)
{
    trial_t *trial = POOL_NEW(judged->batch->pool, trial_t);
    *trial = (trial_t){.judged = judged,
                       .is_policy = is_policy,
                       .first = first,
                       .count = count,
                       .change_count = judged->change_count};
    return trial;
}

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    trial_t *trial = arg;
    rt_judged_t *judged = trial->judged;
    (void)stmt;
    int64_t number;
    if (!str_to_int64(values[0], &number) || number < 1 || (size_t)number > trial->asked_count)
        return;
    size_t change = trial->asked[number - 1];
    if (trial->is_policy) {
        judged->viewer_sees[trial->first * judged->change_count + change] = true;
        return;
    }
    for (size_t i = 0; i + 1 < count && i < trial->count; i++) {
        bool says = str_eq(values[i + 1], STR("t"));
        judged->filter_says[(trial->first + i) * judged->change_count + change] = says;
    }
}

/* Halves of the trial, along filters first, then along changes. */
static void split(const trial_t *trial)
{
    bool by_filter = trial->count > 1;
    size_t whole = by_filter ? trial->count : trial->change_count, half = whole / 2;
    for (int part = 0; part < 2; part++) {
        trial_t *piece = make_trial(trial->judged, trial->is_policy, trial->first, trial->count);
        piece->change = trial->change;
        piece->change_count = trial->change_count;
        size_t *from = by_filter ? &piece->first : &piece->change;
        size_t *count = by_filter ? &piece->count : &piece->change_count;
        *from += part == 0 ? 0 : half;
        *count = part == 0 ? half : whole - half;
        submit(piece);
    }
}

static void on_done(void *arg, const err_t *error)
{
    trial_t *trial = arg;
    rt_batch_t *batch = trial->judged->batch;
    if (error != NULL && rt_error_is_passing(error))
        batch->is_failed = true;
    else if (error != NULL && (trial->count > 1 || trial->change_count > 1))
        split(trial);
    rt_batch_answered(batch, &trial->asking);
}

/* $1: the images that are asked about, in order. */
static str_t write_images(trial_t *trial)
{
    rt_judged_t *judged = trial->judged;
    pool_t *pool = judged->batch->pool;
    buf_t out;
    buf_init(&out, pool, 1024);
    buf_append_char(&out, '[');
    trial->asked = POOL_ARRAY(pool, size_t, trial->change_count);
    for (size_t i = trial->change; i < trial->change + trial->change_count; i++) {
        const rt_change_t *change = change_at(judged, i);
        if (rt_data_is_bare(judged->table, change) || (trial->is_policy && change->op == 'D'))
            continue;
        if (trial->asked_count > 0)
            buf_append_char(&out, ',');
        trial->asked[trial->asked_count++] = i;
        if (trial->is_policy)
            rt_row_write(&out, judged->table, change->new_row, RT_WANT_RAW_KEY, SIZE_MAX);
        else
            buf_append_str(&out, change->op == 'D' ? change->old_row : change->new_row);
    }
    buf_append_char(&out, ']');
    return buf_str(&out);
}

static size_t count_conds(const trial_t *trial)
{
    size_t total = 0;
    for (size_t i = 0; !trial->is_policy && i < trial->count; i++)
        total += trial->judged->filters[trial->first + i]->count;
    return total;
}

static void submit(trial_t *trial)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_done = on_done};
    rt_judged_t *judged = trial->judged;
    rt_batch_t *batch = judged->batch;
    str_t images = write_images(trial);
    if (trial->asked_count == 0)
        return;
    trial->params = POOL_ARRAY(batch->pool, str_t, count_conds(trial) + 1);
    trial->params[0] = images;
    buf_init(&trial->sql, batch->pool, 512);
    size_t used = 0;
    /* A filter's value has nothing to do with who asks: any viewer of the role does. */
    const rt_viewer_t *viewer = judged->viewers[trial->is_policy ? trial->first : 0];
    if (trial->is_policy)
        rt_judge_policy_sql(&trial->sql, judged->table);
    else
        used = rt_judge_filter_sql(&trial->sql, judged->table, judged->filters + trial->first, trial->count,
                                   trial->params + 1);
    trial->stmt = (db_stmt_t){.sql = buf_str(&trial->sql),
                              .params = trial->params,
                              .param_count = used + 1,
                              .is_unprepared = trial->count > 8};
    db_tx_spec_t spec = {.role = judged->role,
                         .settings = trial->settings,
                         .setting_count = rt_judge_settings(viewer, trial->settings),
                         .is_read_only = true,
                         .stmts = &trial->stmt,
                         .stmt_count = 1,
                         .timeout_ms = TIMEOUT_MS};
    rt_batch_ask(batch, &trial->asking, batch->rt->gateway->request_pool, &spec, &handlers, trial);
}

/* Distinct filters and viewers of the subscribers of one judged table. */
static void collect(rt_judged_t *judged)
{
    rt_batch_t *batch = judged->batch;
    rt_watch_t *watch = rt_watch_find(batch->rt, judged->relid);
    size_t most = watch != NULL ? watch->count : 0;
    judged->filter_at = map_create(batch->pool, 16);
    judged->viewer_at = map_create(batch->pool, 16);
    judged->filters = POOL_ARRAY(batch->pool, const rt_filter_t *, most);
    judged->viewers = POOL_ARRAY(batch->pool, rt_viewer_t *, most);
    for (size_t i = 0; i < most; i++) {
        const rt_sub_t *sub = watch->subs[i];
        rt_viewer_t *viewer = sub->changes->viewer;
        if (!str_eq(viewer->role, judged->role))
            continue;
        const rt_filter_t *filter = &sub->binding->filter;
        if (filter->count > 0 && map_get(judged->filter_at, filter->text) == NULL) {
            rt_filter_t *copy = POOL_NEW(batch->pool, rt_filter_t); /* the channel may leave meanwhile */
            str_t why;
            if (rt_filter_parse(batch->pool, filter->text, copy, &why)) {
                judged->filters[judged->filter_count++] = copy;
                map_put(judged->filter_at, copy->text, (void *)judged->filter_count);
            }
        }
        if (map_get(judged->viewer_at, viewer->key) == NULL) {
            viewer->refs++;
            judged->viewers[judged->viewer_count++] = viewer;
            map_put(judged->viewer_at, viewer->key, (void *)judged->viewer_count);
        }
    }
    judged->filter_says = POOL_ARRAY(batch->pool, bool, judged->filter_count * judged->change_count + 1);
    judged->viewer_sees = POOL_ARRAY(batch->pool, bool, judged->viewer_count * judged->change_count + 1);
}

void rt_trial_submit_all(rt_batch_t *batch)
{
    for (size_t i = 0; i < batch->judged_count; i++) {
        rt_judged_t *judged = &batch->judged[i];
        if (judged->table == NULL)
            continue;
        collect(judged);
        for (size_t f = 0; f < judged->filter_count; f += RT_JUDGE_FILTERS_MAX) {
            size_t left = judged->filter_count - f;
            submit(make_trial(judged, false, f, left > RT_JUDGE_FILTERS_MAX ? RT_JUDGE_FILTERS_MAX : left));
        }
        for (size_t v = 0; judged->table->is_rls && v < judged->viewer_count; v++)
            submit(make_trial(judged, true, v, 1));
    }
}
