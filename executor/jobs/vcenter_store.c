#include "executor/jobs/vcenter.h"

#include "base/read_json.h"

/* A part is closed behind the item that makes it larger than this. */
enum { PART_BYTES = 512 << 10 };

typedef struct {
    service_t *vcenter;
    str_t id, name;
    json_t *body; /* the next part */
    size_t size;  /* of its items */
    service_stored_t *stored;
} store_t;

/* In this order: what is linked to comes before what links. Hosts are never divided (docs/functions.md). */
static const struct {
    const char *list, *key;
} LISTS[] = {{"hosts", "vcenter_id"},    {"clusters", "cluster_name"}, {"datastores", "vcenter_id"},
             {"networks", "vcenter_id"}, {"vms", "vcenter_id"},        {"alarms", "alarm_key"}};

static void begin(store_t *store)
{
    store->body = json_object();
    store->size = 0;
    if (store->id.len > 0)
        json_object_set_new(store->body, "vcenter_id", json_stringn(store->id.base, store->id.len));
}

/* What the vCenter has: whatever is not named is gone, whether its part arrives or not. */
static json_t *list_present(const json_t *inventory)
{
    json_t *present = json_object();
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++) {
        size_t k;
        json_t *item, *keys = json_array();
        json_array_foreach(read_json_array(inventory, LISTS[i].list), k, item)
        {
            json_t *key = json_object_get(item, LISTS[i].key);
            if (key != NULL)
                json_array_append(keys, key);
        }
        json_object_set_new(present, LISTS[i].list, keys);
    }
    return present;
}

/* Sends the part that is open, if there is anything in it, and opens the next. */
static err_t *send_part(store_t *store, bool is_last)
{
    if (is_last && store->size == 0)
        return NULL;
    err_t *err = service_store(store->vcenter, STR("vcenter-sync"), store->body, store->name, store->stored);
    json_decref(store->body);
    begin(store);
    return err;
}

/* Items leave the inventory as they are sent. */
static err_t *send_list(store_t *store, const char *list, json_t *items)
{
    err_t *err = NULL;
    bool is_whole = strcmp(list, "hosts") == 0;
    for (size_t i = 0; i < json_array_size(items) && err == NULL; i++) {
        json_t *part = json_object_get(store->body, list), *item = json_array_get(items, i);
        if (part == NULL) {
            part = json_array();
            json_object_set_new(store->body, list, part);
        }
        store->size += json_dumpb(item, NULL, 0, JSON_COMPACT);
        json_array_append(part, item);
        json_array_set_new(items, i, json_null());
        if (store->size > PART_BYTES && !is_whole)
            err = send_part(store, false);
    }
    return err;
}

err_t *vcenter_store_inventory(service_t *vcenter, str_t id, str_t name, json_t *inventory,
                               service_stored_t *stored)
{
    err_t *err = NULL;
    store_t store = {.vcenter = vcenter, .id = id, .name = name, .stored = stored};
    begin(&store);
    json_object_set_new(store.body, "complete", json_true());
    json_object_set_new(store.body, "present", list_present(inventory));
    store.size = 1; /* sent even when nothing is there: then everything is gone */
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]) && err == NULL; i++)
        err = send_list(&store, LISTS[i].list, json_object_get(inventory, LISTS[i].list));
    if (err == NULL)
        err = send_part(&store, true);
    json_decref(store.body);
    return err;
}
