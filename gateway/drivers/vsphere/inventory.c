#include "drivers/vsphere/inventory.h"

static void set(json_t *row, const char *key, json_t *value)
{
    if (value != NULL)
        json_object_set_new(row, key, value);
}

void put_text(json_t *row, const char *key, str_t text)
{
    if (text.len > 0)
        set(row, key, json_stringn(text.base, text.len));
}

void put_int(json_t *row, const char *key, str_t text)
{
    int64_t value = 0;
    if (str_to_int64(text, &value))
        set(row, key, json_integer(value));
}

void put_bool(json_t *row, const char *key, str_t text)
{
    if (text.len > 0)
        set(row, key, json_boolean(str_eq(text, STR("true")) || str_eq(text, STR("1"))));
}

void add_int(json_t *row, const char *key, int64_t more)
{
    if (row != NULL)
        set(row, key, json_integer(json_integer_value(json_object_get(row, key)) + more));
}

json_t *inventory_row(inventory_t *inventory, const char *list, const object_t *object)
{
    json_t *row = json_object(), *rows = json_object_get(inventory->out, list);
    json_array_append_new(rows, row);
    put_text(row, "vcenter_id", object->ref.id);
    map_put(inventory->rows, pool_str(inventory->pool, object->ref.id), row);
    return row;
}

json_t *inventory_find(const inventory_t *inventory, str_t id)
{
    return id.len > 0 ? map_get(inventory->rows, id) : NULL;
}

str_t inventory_name(const inventory_t *inventory, str_t id)
{
    return id.len > 0 ? str_from_c(map_get(inventory->names, id)) : STR_NULL;
}

static void put_about(json_t *out, const vsphere_about_t *about)
{
    json_t *row = json_object();
    put_text(row, "name", about->name);
    put_text(row, "version", about->version);
    put_text(row, "build", about->build);
    put_text(row, "instance_uuid", about->instance_uuid);
    set(out, "about", row);
}

/* --- what only has a name and a place --- */

static void on_named(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    str_t id = pool_str(inventory->pool, object->ref.id);
    str_t name = object_text(pool, object, "name"), parent = object_ref(pool, object, "parent").id;
    if (name.len > 0)
        map_put(inventory->names, id, pool_cstr(inventory->pool, name));
    if (parent.len > 0)
        map_put(inventory->parents, id, pool_cstr(inventory->pool, parent));
}

static err_t *read_names(inventory_t *inventory)
{
    static const char *const TYPES[] = {"Datacenter", "Folder", "ComputeResource", "ResourcePool",
                                        "DistributedVirtualSwitch"};
    static const char *const PATHS[] = {"name", "parent", NULL};
    err_t *err = NULL;
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]) && err == NULL; i++) {
        collect_t collect = {.type = TYPES[i], .paths = PATHS, .on_object = on_named, .arg = inventory};
        err = collect_all(inventory->vsphere, inventory->pool, &collect);
    }
    return err;
}

/* --- names of custom attributes --- */

static void on_fields(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    const xmlNode *fields = object_value(object, "field");
    inventory->has_fields = true;
    for (const xmlNode *node = xml_child(fields, "CustomFieldDef"); node != NULL;
         node = xml_next(node, "CustomFieldDef")) {
        str_t key = xml_text(pool, xml_child(node, "key")), name = xml_text(pool, xml_child(node, "name"));
        if (key.len > 0 && name.len > 0)
            map_put(inventory->fields, pool_str(inventory->pool, key), pool_cstr(inventory->pool, name));
    }
}

/* A service may have no such manager, or not let everybody see it: that costs only the attributes. */
static err_t *read_fields(inventory_t *inventory)
{
    static const char *const PATHS[] = {"field", NULL};
    soap_ref_t manager = inventory->vsphere->fields_manager;
    collect_t collect = {
        .type = "CustomFieldsManager", .paths = PATHS, .on_object = on_fields, .arg = inventory};
    err_t *err = collect_refs(inventory->vsphere, inventory->pool, &manager, manager.id.len > 0, &collect);
    return err != NULL && str_eq(err->code, STR("fault")) ? NULL : err;
}

static void free_json(void *arg)
{
    json_decref(arg);
}

err_t *vsphere_inventory(vsphere_t *vsphere, pool_t *pool, json_t **out)
{
    static const char *const LISTS[] = {"hosts", "clusters", "vms", "datastores", "networks", "alarms"};
    static err_t *(*const PARTS[])(inventory_t * inventory) = {read_names,
                                                               read_fields,
                                                               inventory_read_clusters,
                                                               inventory_read_hosts,
                                                               inventory_read_datastores,
                                                               inventory_read_networks,
                                                               inventory_read_machines,
                                                               inventory_read_alarms};
    vsphere_about_t about = vsphere->about;
    inventory_t inventory = {.vsphere = vsphere,
                             .pool = pool,
                             .out = json_object(),
                             .names = map_create(pool, 256),
                             .parents = map_create(pool, 256),
                             .rows = map_create(pool, 256),
                             .fields = map_create(pool, 32),
                             .foreign = map_create(pool, 32)};
    pool_on_dispose(pool, free_json, inventory.out);
    put_about(inventory.out, &about);
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++)
        set(inventory.out, LISTS[i], json_array());
    err_t *err = NULL;
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]) && err == NULL; i++)
        err = PARTS[i](&inventory);
    *out = inventory.out;
    return err;
}
