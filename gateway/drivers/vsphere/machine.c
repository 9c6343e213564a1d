#include "drivers/vsphere/inventory.h"

#include "base/read_json.h"

#define BYTES_OF_MIB (1 << 20)

static const char *const MACHINE_PATHS[] = {"name",
                                            "parent",
                                            "overallStatus",
                                            "resourcePool",
                                            "snapshot",
                                            "customValue",
                                            "datastore",
                                            "storage.perDatastoreUsage",
                                            "config.annotation",
                                            "config.firmware",
                                            "config.guestId",
                                            "config.hardware.device",
                                            "config.template",
                                            "config.version",
                                            "runtime.host",
                                            "runtime.powerState",
                                            "summary.config.guestFullName",
                                            "summary.config.memorySizeMB",
                                            "summary.config.numCpu",
                                            "summary.config.vmPathName",
                                            "guest.ipAddress",
                                            "guest.net",
                                            "guest.toolsStatus",
                                            "guest.toolsVersion",
                                            NULL};

static void put_devices(pool_t *pool, json_t *row, const xmlNode *devices)
{
    static const struct {
        const char *type, *name;
    } CONTROLLERS[] = {{"VirtualLsiLogicController", "lsilogic"},
                       {"VirtualLsiLogicSASController", "lsilogic-sas"},
                       {"ParaVirtualSCSIController", "pvscsi"},
                       {"VirtualBusLogicController", "buslogic"}};
    int64_t kib = 0, one = 0;
    for (const xmlNode *node = xml_child(devices, "VirtualDevice"); node != NULL;
         node = xml_next(node, "VirtualDevice")) {
        str_t type = xml_dynamic_type(pool, node);
        if (str_eq(type, STR("VirtualDisk")) &&
            str_to_int64(xml_text(pool, xml_child(node, "capacityInKB")), &one) && one >= 0)
            kib += one;
        for (size_t i = 0; i < sizeof(CONTROLLERS) / sizeof(CONTROLLERS[0]); i++) {
            if (str_eq(type, str_from_c(CONTROLLERS[i].type)) &&
                json_object_get(row, "scsi_controller_type") == NULL)
                put_text(row, "scsi_controller_type", str_from_c(CONTROLLERS[i].name));
        }
    }
    if (devices != NULL)
        json_object_set_new(row, "disk_gb", json_real((double)kib / BYTES_OF_MIB));
}

/* --- what hangs on a machine --- */

/* Snapshots are a tree; the depth of the document bounds the recursion. */
static void put_snapshots(pool_t *pool, json_t *list, const xmlNode *parent, const char *name,
                          str_t parent_id, str_t current)
{
    for (const xmlNode *node = xml_child(parent, name); node != NULL; node = xml_next(node, name)) {
        json_t *row = json_object();
        str_t id = xml_text(pool, xml_child(node, "snapshot"));
        put_text(row, "snapshot_id", id);
        put_text(row, "name", xml_text(pool, xml_child(node, "name")));
        put_text(row, "description", xml_text(pool, xml_child(node, "description")));
        put_text(row, "created_at", xml_text(pool, xml_child(node, "createTime")));
        put_text(row, "parent_snapshot_id", parent_id);
        json_object_set_new(row, "is_current", json_boolean(id.len > 0 && str_eq(id, current)));
        json_array_append_new(list, row);
        put_snapshots(pool, list, node, "childSnapshotList", id, current);
    }
}

/* The manager of the fields knows their names, a machine only their numbers. */
static json_t *read_attributes(const inventory_t *inventory, pool_t *pool, const xmlNode *values)
{
    json_t *list = json_array();
    for (const xmlNode *node = xml_child(values, "CustomFieldValue"); node != NULL;
         node = xml_next(node, "CustomFieldValue")) {
        const char *name = map_get(inventory->fields, xml_text(pool, xml_child(node, "key")));
        str_t value = xml_text(pool, xml_child(node, "value"));
        if (name == NULL)
            continue;
        json_t *row = json_object();
        put_text(row, "attribute_key", str_from_c(name));
        json_object_set_new(row, "attribute_value", json_stringn(value.len > 0 ? value.base : "", value.len));
        json_array_append_new(list, row);
    }
    return list;
}

/* "[store] folder/machine.vmx" */
static str_t home_store(str_t path)
{
    size_t end = str_find_char(path, ']', 0);
    return str_starts_with(path, STR("[")) && end != SIZE_MAX ? str_slice(path, 1, end) : STR_NULL;
}

static json_t *put_use(const inventory_t *inventory, json_t *list, str_t store_id, str_t home)
{
    json_t *row = json_object();
    str_t name = read_json_str(inventory_find(inventory, store_id), "name");
    put_text(row, "datastore", store_id);
    json_object_set_new(row, "is_primary_datastore", json_boolean(home.len > 0 && str_eq(name, home)));
    json_array_append_new(list, row);
    return row;
}

/* Its use of datastores is told once the service has computed it; where it lies is known at once. */
static json_t *read_stores(const inventory_t *inventory, pool_t *pool, const object_t *object)
{
    json_t *list = json_array();
    map_t *seen = map_create(pool, 8);
    str_t home = home_store(object_text(pool, object, "summary.config.vmPathName"));
    const xmlNode *uses = object_value(object, "storage.perDatastoreUsage");
    for (const xmlNode *node = xml_child(uses, "VirtualMachineUsageOnDatastore"); node != NULL;
         node = xml_next(node, "VirtualMachineUsageOnDatastore")) {
        str_t id = xml_text(pool, xml_child(node, "datastore"));
        if (id.len == 0 || map_put(seen, id, list) != NULL)
            continue;
        json_t *row = put_use(inventory, list, id, home);
        put_int(row, "committed_bytes", xml_text(pool, xml_child(node, "committed")));
        put_int(row, "uncommitted_bytes", xml_text(pool, xml_child(node, "uncommitted")));
    }
    const xmlNode *places = object_value(object, "datastore");
    for (const xmlNode *node = xml_child(places, "ManagedObjectReference"); node != NULL;
         node = xml_next(node, "ManagedObjectReference")) {
        str_t id = xml_text(pool, node);
        if (id.len > 0 && map_put(seen, id, list) == NULL)
            put_use(inventory, list, id, home);
    }
    return list;
}

/* --- network adapters --- */

/* The network of an adapter: a port group, a network of its host, or one that another system manages. */
static str_t network_of(const inventory_t *inventory, pool_t *pool, const xmlNode *backing)
{
    str_t group = xml_text(pool, xml_at(backing, "port.portgroupKey")),
          foreign = xml_text(pool, xml_child(backing, "opaqueNetworkId"));
    if (group.len > 0)
        return group;
    if (foreign.len > 0)
        return str_from_c(map_get(inventory->foreign, foreign));
    return xml_text(pool, xml_child(backing, "network"));
}

/* What the guest says of the adapter with that address; NULL when it says nothing. */
static const xmlNode *guest_view(pool_t *pool, const xmlNode *nets, str_t mac)
{
    for (const xmlNode *node = xml_child(nets, "GuestNicInfo"); node != NULL;
         node = xml_next(node, "GuestNicInfo")) {
        if (mac.len > 0 && str_eq_nocase(xml_text(pool, xml_child(node, "macAddress")), mac))
            return node;
    }
    return NULL;
}

static void append_text(json_t *list, str_t text)
{
    if (text.len > 0)
        json_array_append_new(list, json_stringn(text.base, text.len));
}

/* Older tools tell only a plain list. */
static json_t *read_addresses(pool_t *pool, const xmlNode *view)
{
    json_t *list = json_array();
    for (const xmlNode *node = xml_child(xml_child(view, "ipConfig"), "ipAddress"); node != NULL;
         node = xml_next(node, "ipAddress"))
        append_text(list, xml_text(pool, xml_child(node, "ipAddress")));
    for (const xmlNode *node = json_array_size(list) == 0 ? xml_child(view, "ipAddress") : NULL; node != NULL;
         node = xml_next(node, "ipAddress"))
        append_text(list, xml_text(pool, node));
    return list;
}

static json_t *read_adapter(const inventory_t *inventory, pool_t *pool, const object_t *object,
                            const xmlNode *device)
{
    str_t network = network_of(inventory, pool, xml_child(device, "backing"));
    str_t mac = xml_text(pool, xml_child(device, "macAddress")),
          label = xml_text(pool, xml_at(device, "deviceInfo.label"));
    const xmlNode *view = guest_view(pool, object_value(object, "guest.net"), mac);
    json_t *row = json_object();
    put_text(row, "network", network);
    put_text(row, "nic_label", label.len > 0 ? label : xml_text(pool, xml_child(device, "key")));
    put_text(row, "mac_address", mac);
    put_text(row, "adapter_type", xml_dynamic_type(pool, device));
    put_bool(row, "connected", xml_text(pool, xml_at(device, "connectable.connected")));
    put_bool(row, "connected", xml_text(pool, xml_child(view, "connected")));
    json_object_set_new(row, "ip_addresses", read_addresses(pool, view));
    return row;
}

/* Only network adapters have an address of that kind. One without a network is no link. */
static json_t *read_adapters(const inventory_t *inventory, pool_t *pool, const object_t *object)
{
    json_t *list = json_array();
    const xmlNode *devices = object_value(object, "config.hardware.device");
    for (const xmlNode *node = xml_child(devices, "VirtualDevice"); node != NULL;
         node = xml_next(node, "VirtualDevice")) {
        if (xml_child(node, "macAddress") == NULL)
            continue;
        json_t *row = read_adapter(inventory, pool, object, node);
        if (json_object_get(row, "network") != NULL)
            json_array_append_new(list, row);
        else
            json_decref(row);
    }
    return list;
}

/* --- machines --- */

static str_t folder_path(const inventory_t *inventory, pool_t *pool, str_t id)
{
    str_t path = STR_NULL;
    for (int depth = 0; depth < 32; depth++) { /* a loop of parents would be the service's fault, not ours */
        str_t name = inventory_name(inventory, id);
        str_t parent = id.len > 0 ? str_from_c(map_get(inventory->parents, id)) : STR_NULL;
        if (name.len == 0 || parent.len == 0) /* the root folder is not part of a path */
            break;
        path = pool_concat(pool, 3, STR("/"), name, path);
        id = parent;
    }
    return path;
}

static void put_parts(const inventory_t *inventory, pool_t *pool, const object_t *object, json_t *row)
{
    json_t *snapshots = json_array();
    put_snapshots(pool, snapshots, object_value(object, "snapshot"), "rootSnapshotList", STR_NULL,
                  object_text(pool, object, "snapshot.currentSnapshot"));
    add_int(row, "snapshot_count", (int64_t)json_array_size(snapshots));
    json_object_set_new(row, "snapshots", snapshots);
    json_object_set_new(row, "datastores", read_stores(inventory, pool, object));
    /* Without the right to see the devices nothing is known of adapters, which is not the same as none. */
    if (object_value(object, "config.hardware.device") != NULL)
        json_object_set_new(row, "nics", read_adapters(inventory, pool, object));
    if (inventory->has_fields)
        json_object_set_new(row, "custom_attributes",
                            read_attributes(inventory, pool, object_value(object, "customValue")));
}

static void on_machine(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    json_t *row = inventory_row(inventory, "vms", object);
    str_t host_id = object_ref(pool, object, "runtime.host").id;
    const json_t *host = inventory_find(inventory, host_id);
    put_text(row, "name", object_text(pool, object, "name"));
    put_text(row, "host", host_id);
    if (host != NULL)
        json_object_set(row, "cluster_name", json_object_get(host, "cluster"));
    put_text(row, "power_state", object_text(pool, object, "runtime.powerState"));
    put_text(row, "guest_os", object_text(pool, object, "summary.config.guestFullName"));
    put_text(row, "guest_id", object_text(pool, object, "config.guestId"));
    put_int(row, "cpu_count", object_text(pool, object, "summary.config.numCpu"));
    put_int(row, "memory_mb", object_text(pool, object, "summary.config.memorySizeMB"));
    put_text(row, "ip_address", object_text(pool, object, "guest.ipAddress"));
    put_text(row, "tools_status", object_text(pool, object, "guest.toolsStatus"));
    put_text(row, "tools_version", object_text(pool, object, "guest.toolsVersion"));
    put_text(row, "overall_status", object_text(pool, object, "overallStatus"));
    put_text(row, "notes", object_text(pool, object, "config.annotation"));
    put_bool(row, "is_template", object_text(pool, object, "config.template"));
    put_text(row, "hardware_version", object_text(pool, object, "config.version"));
    put_text(row, "firmware", object_text(pool, object, "config.firmware"));
    put_text(row, "resource_pool", inventory_name(inventory, object_ref(pool, object, "resourcePool").id));
    put_text(row, "folder_path", folder_path(inventory, pool, object_ref(pool, object, "parent").id));
    put_devices(pool, row, object_value(object, "config.hardware.device"));
    put_parts(inventory, pool, object, row);
}

/* A cluster's machines are counted by its name, which is what their rows hold. */
static void count_machines(inventory_t *inventory)
{
    size_t i, j;
    json_t *cluster, *machine;
    map_t *clusters = map_create(inventory->pool, 32);
    json_array_foreach(json_object_get(inventory->out, "clusters"), i, cluster)
    {
        const json_t *name = json_object_get(cluster, "cluster_name");
        if (json_is_string(name))
            map_put(clusters, str_make(json_string_value(name), json_string_length(name)), cluster);
    }
    json_array_foreach(json_object_get(inventory->out, "vms"), j, machine)
    {
        const json_t *name = json_object_get(machine, "cluster_name");
        if (json_is_string(name))
            add_int(map_get(clusters, str_make(json_string_value(name), json_string_length(name))),
                    "vm_count", 1);
    }
}

err_t *inventory_read_machines(inventory_t *inventory)
{
    collect_t collect = {.type = "VirtualMachine",
                         .paths = MACHINE_PATHS,
                         .page = 100, /* the devices make them large */
                         .on_object = on_machine,
                         .arg = inventory};
    err_t *err = collect_all(inventory->vsphere, inventory->pool, &collect);
    if (err == NULL)
        count_machines(inventory);
    return err;
}
