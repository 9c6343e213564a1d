#include "functions/vcenter_items.h"

/* Large enough to spare round trips, small enough for the memory of both sides. */
#define GROUP_MAX 500

static bool is_outage(const err_t *err)
{
    return err->status == 503 || err->status == 504;
}

static json_t *shorten(const vcenter_items_t *what, json_t *item)
{
    if (what->member == NULL)
        return json_incref(item);
    const char *const kept[] = {"vcenter_id", what->name, what->member};
    json_t *row = json_object();
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        json_t *value = json_object_get(item, kept[i]);
        if (value != NULL)
            json_object_set(row, kept[i], value);
    }
    return row;
}

static err_t *run(const vcenter_store_t *store, const vcenter_items_t *what, const json_t *group)
{
    db_rows_t rows = {0};
    pool_t *text = pool_create();
    err_t *err =
        sync_try(store->session, what->sql, DB_PARAMS(read_json_dump(text, group), store->source), &rows);
    pool_destroy(text);
    if (err == NULL && what->on_rows != NULL)
        what->on_rows(what->arg, &rows);
    return err;
}

static err_t *take_one(const vcenter_store_t *store, const vcenter_items_t *what, json_t *item)
{
    pool_t *pool = store->task->pool;
    json_t *alone = json_array();
    json_array_append(alone, item);
    err_t *err = run(store, what, alone);
    json_decref(alone);
    if (err == NULL || is_outage(err))
        return err;
    str_t name = pool_printf(pool, "%s %.*s%s%s", what->list, STR_ARG(read_json_str(item, what->name)),
                             what->member != NULL ? ", " : "", what->member != NULL ? what->member : "");
    sync_summary_fail(store->task, store->summary, name, fn_error_text(store->task, err));
    return NULL;
}

static err_t *take_group(const vcenter_store_t *store, const vcenter_items_t *what, const json_t *group)
{
    size_t i;
    json_t *item;
    err_t *err = run(store, what, group);
    if (err == NULL || is_outage(err))
        return err;
    err = NULL;
    json_array_foreach(group, i, item)
    {
        if (err == NULL)
            err = take_one(store, what, item);
    }
    return err;
}

err_t *vcenter_items_take(const vcenter_store_t *store, const vcenter_items_t *what, const json_t *items)
{
    err_t *err = NULL;
    size_t count = json_array_size(items);
    for (size_t done = 0; done < count && err == NULL; done += GROUP_MAX) {
        json_t *group = json_array();
        for (size_t i = done; i < count && i < done + GROUP_MAX; i++)
            json_array_append_new(group, shorten(what, json_array_get(items, i)));
        err = take_group(store, what, group);
        json_decref(group);
    }
    return err;
}
