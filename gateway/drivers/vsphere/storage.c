#include "drivers/vsphere/inventory.h"

/* --- datastores --- */

static const char *const STORE_PATHS[] = {"name",
                                          "summary.accessible",
                                          "summary.capacity",
                                          "summary.freeSpace",
                                          "summary.maintenanceMode",
                                          "summary.type",
                                          "host",
                                          "vm",
                                          NULL};

/* Which hosts have it mounted, where, and how. */
static json_t *read_mounts(pool_t *pool, const xmlNode *mounts)
{
    json_t *list = json_array();
    for (const xmlNode *node = xml_child(mounts, "DatastoreHostMount"); node != NULL;
         node = xml_next(node, "DatastoreHostMount")) {
        json_t *row = json_object();
        const xmlNode *info = xml_child(node, "mountInfo");
        str_t mode = xml_text(pool, xml_child(info, "accessMode"));
        put_text(row, "host", xml_text(pool, xml_child(node, "key")));
        put_text(row, "mount_path", xml_text(pool, xml_child(info, "path")));
        put_bool(row, "accessible", xml_text(pool, xml_child(info, "accessible")));
        if (mode.len > 0)
            json_object_set_new(row, "read_only", json_boolean(str_eq(mode, STR("readOnly"))));
        json_array_append_new(list, row);
    }
    return list;
}

static void on_store(void *arg, pool_t *pool, const object_t *object)
{
    json_t *row = inventory_row(arg, "datastores", object);
    put_text(row, "name", object_text(pool, object, "name"));
    put_text(row, "type", object_text(pool, object, "summary.type"));
    put_int(row, "capacity_bytes", object_text(pool, object, "summary.capacity"));
    put_int(row, "free_bytes", object_text(pool, object, "summary.freeSpace"));
    put_bool(row, "accessible", object_text(pool, object, "summary.accessible"));
    put_text(row, "maintenance_mode", object_text(pool, object, "summary.maintenanceMode"));
    json_t *mounts = read_mounts(pool, object_value(object, "host"));
    add_int(row, "host_count", (int64_t)json_array_size(mounts));
    json_object_set_new(row, "hosts", mounts);
    add_int(row, "vm_count", (int64_t)xml_count(object_value(object, "vm"), "ManagedObjectReference"));
}

/* What a cluster's stores hold; a store that several clusters use counts in each. */
static void sum_stores(inventory_t *inventory)
{
    size_t i, j;
    json_t *cluster, *id;
    json_array_foreach(json_object_get(inventory->out, "clusters"), i, cluster)
    {
        json_t *stores = json_object_get(cluster, "datastores");
        json_array_foreach(stores, j, id)
        {
            const json_t *store =
                inventory_find(inventory, str_make(json_string_value(id), json_string_length(id)));
            int64_t size = json_integer_value(json_object_get(store, "capacity_bytes"));
            add_int(cluster, "total_storage_bytes", size);
            add_int(cluster, "used_storage_bytes",
                    size - json_integer_value(json_object_get(store, "free_bytes")));
        }
        json_object_del(cluster, "datastores");
    }
}

err_t *inventory_read_datastores(inventory_t *inventory)
{
    collect_t collect = {
        .type = "Datastore", .paths = STORE_PATHS, .page = 200, .on_object = on_store, .arg = inventory};
    err_t *err = collect_all(inventory->vsphere, inventory->pool, &collect);
    if (err == NULL)
        sum_stores(inventory);
    return err;
}

/* --- networks and port groups --- */

static const char *const NETWORK_PATHS[] = {"name", "summary", "host", "vm", "tag", NULL};
static const char *const GROUP_PATHS[] = {"config.distributedVirtualSwitch", "config.defaultPortConfig",
                                          NULL};

/* Port groups are networks too, so the list has both. */
static void on_network(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    json_t *row = inventory_row(inventory, "networks", object);
    str_t foreign = object_text(pool, object, "summary.opaqueNetworkId");
    const xmlNode *tags = object_value(object, "tag");
    put_text(row, "name", object_text(pool, object, "name"));
    put_text(row, "network_type", object->ref.type);
    put_bool(row, "accessible", object_text(pool, object, "summary.accessible"));
    add_int(row, "host_count", (int64_t)xml_count(object_value(object, "host"), "ManagedObjectReference"));
    add_int(row, "vm_count", (int64_t)xml_count(object_value(object, "vm"), "ManagedObjectReference"));
    if (foreign.len > 0)
        map_put(inventory->foreign, pool_str(inventory->pool, foreign),
                pool_cstr(inventory->pool, object->ref.id));
    for (const xmlNode *tag = xml_child(tags, "Tag"); tag != NULL; tag = xml_next(tag, "Tag")) {
        if (str_eq(xml_text(pool, xml_child(tag, "key")), STR("SYSTEM/DVS.UPLINKPG")))
            put_bool(row, "uplink_port_group", STR("true"));
    }
}

static str_t read_ranges(pool_t *pool, const xmlNode *vlan)
{
    str_t text = STR_NULL;
    for (const xmlNode *range = xml_child(vlan, "vlanId"); range != NULL; range = xml_next(range, "vlanId")) {
        str_t first = xml_text(pool, xml_child(range, "start")),
              last = xml_text(pool, xml_child(range, "end"));
        str_t one = str_eq(first, last) ? first : pool_concat(pool, 3, first, STR("-"), last);
        text = text.len == 0 ? one : pool_concat(pool, 3, text, STR(","), one);
    }
    return text;
}

static void put_vlan(pool_t *pool, json_t *row, const xmlNode *vlan)
{
    str_t type = xml_dynamic_type(pool, vlan);
    if (str_ends_with(type, STR("TrunkVlanSpec"))) {
        put_text(row, "vlan_type", STR("trunk"));
        put_text(row, "vlan_range", read_ranges(pool, vlan));
    } else if (str_ends_with(type, STR("PvlanSpec"))) {
        put_text(row, "vlan_type", STR("pvlan"));
        put_int(row, "vlan_id", xml_text(pool, xml_child(vlan, "pvlanId")));
    } else if (str_ends_with(type, STR("VlanIdSpec"))) {
        str_t id = xml_text(pool, xml_child(vlan, "vlanId"));
        put_text(row, "vlan_type", str_eq(id, STR("0")) ? STR("none") : STR("vlan"));
        put_int(row, "vlan_id", id);
    }
}

static void on_group(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    json_t *row = inventory_find(inventory, object->ref.id);
    str_t parent = object_ref(pool, object, "config.distributedVirtualSwitch").id;
    if (row == NULL) /* made since the list was read */
        return;
    put_text(row, "parent_switch_id", parent);
    put_text(row, "parent_switch_name", inventory_name(inventory, parent));
    put_vlan(pool, row, object_value(object, "config.defaultPortConfig.vlan"));
}

err_t *inventory_read_networks(inventory_t *inventory)
{
    collect_t networks = {
        .type = "Network", .paths = NETWORK_PATHS, .page = 200, .on_object = on_network, .arg = inventory};
    collect_t groups = {.type = "DistributedVirtualPortgroup",
                        .paths = GROUP_PATHS,
                        .page = 200,
                        .on_object = on_group,
                        .arg = inventory};
    err_t *err = collect_all(inventory->vsphere, inventory->pool, &networks);
    return err != NULL ? err : collect_all(inventory->vsphere, inventory->pool, &groups);
}

/* --- alarms that are raised --- */

static const char *const ALARM_PATHS[] = {"info.name", "info.description", NULL};
static const char *const ROOT_PATHS[] = {"triggeredAlarmState", NULL};

static void on_root(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    const xmlNode *states = object_value(object, "triggeredAlarmState");
    for (const xmlNode *state = xml_child(states, "AlarmState"); state != NULL;
         state = xml_next(state, "AlarmState")) {
        json_t *row = json_object();
        soap_ref_t entity = soap_read_ref(pool, xml_child(state, "entity"));
        json_array_append_new(json_object_get(inventory->out, "alarms"), row);
        const json_t *known = inventory_find(inventory, entity.id);
        const json_t *name = json_object_get(known, "name");
        name = name != NULL ? name : json_object_get(known, "cluster_name");
        put_text(row, "alarm_key", xml_text(pool, xml_child(state, "key")));
        put_text(row, "alarm", xml_text(pool, xml_child(state, "alarm")));
        put_text(row, "entity_type", entity.type);
        put_text(row, "entity_id", entity.id);
        put_text(row, "entity_name", inventory_name(inventory, entity.id));
        if (name != NULL)
            json_object_set(row, "entity_name", (json_t *)name);
        put_text(row, "alarm_status", xml_text(pool, xml_child(state, "overallStatus")));
        put_text(row, "triggered_at", xml_text(pool, xml_child(state, "time")));
        put_bool(row, "acknowledged", xml_text(pool, xml_child(state, "acknowledged")));
    }
}

static void on_alarm(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(inventory->out, "alarms"), i, row)
    {
        const json_t *id = json_object_get(row, "alarm");
        if (!json_is_string(id) ||
            !str_eq(str_make(json_string_value(id), json_string_length(id)), object->ref.id))
            continue;
        put_text(row, "alarm_name", object_text(pool, object, "info.name"));
        put_text(row, "description", object_text(pool, object, "info.description"));
    }
}

/* Each alarm once, however many objects raised it. */
static size_t list_alarms(inventory_t *inventory, soap_ref_t *refs)
{
    size_t i, count = 0;
    json_t *row;
    map_t *seen = map_create(inventory->pool, 32);
    json_array_foreach(json_object_get(inventory->out, "alarms"), i, row)
    {
        const json_t *id = json_object_get(row, "alarm");
        str_t text = json_is_string(id) ? str_make(json_string_value(id), json_string_length(id)) : STR_NULL;
        if (text.len > 0 && map_put(seen, text, row) == NULL)
            refs[count++] = (soap_ref_t){.type = STR("Alarm"), .id = text};
    }
    return count;
}

err_t *inventory_read_alarms(inventory_t *inventory)
{
    collect_t root = {.type = "Folder", .paths = ROOT_PATHS, .on_object = on_root, .arg = inventory};
    collect_t alarms = {.type = "Alarm", .paths = ALARM_PATHS, .on_object = on_alarm, .arg = inventory};
    err_t *err =
        collect_refs(inventory->vsphere, inventory->pool, &inventory->vsphere->root_folder, 1, &root);
    if (err != NULL)
        return err;
    size_t raised = json_array_size(json_object_get(inventory->out, "alarms"));
    soap_ref_t *refs = POOL_ARRAY(inventory->pool, soap_ref_t, raised + 1);
    err = collect_refs(inventory->vsphere, inventory->pool, refs, list_alarms(inventory, refs), &alarms);
    /* An alarm that was removed meanwhile costs only its name. */
    return err != NULL && str_eq(err->code, STR("fault")) ? NULL : err;
}
