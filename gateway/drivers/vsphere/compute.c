#include "drivers/vsphere/inventory.h"

#define BYTES_OF_MIB (1 << 20)

/* --- clusters --- */

static const char *const CLUSTER_PATHS[] = {"name",
                                            "overallStatus",
                                            "summary.numHosts",
                                            "summary.totalCpu",
                                            "summary.totalMemory",
                                            "datastore",
                                            "configuration.dasConfig",
                                            "configuration.drsConfig",
                                            "configurationEx",
                                            NULL};

/* The older form is what clusters of all versions have; some services fill only the newer one. */
static str_t cluster_setting(pool_t *pool, const object_t *object, const char *path)
{
    char full[96];
    snprintf(full, sizeof(full), "configuration.%s", path);
    str_t text = object_text(pool, object, full);
    snprintf(full, sizeof(full), "configurationEx.%s", path);
    return text.len > 0 ? text : object_text(pool, object, full);
}

static void on_cluster(void *arg, pool_t *pool, const object_t *object)
{
    json_t *row = inventory_row(arg, "clusters", object), *stores = json_array();
    put_text(row, "cluster_name", object_text(pool, object, "name"));
    put_text(row, "overall_status", object_text(pool, object, "overallStatus"));
    put_int(row, "host_count", object_text(pool, object, "summary.numHosts"));
    put_int(row, "total_cpu_mhz", object_text(pool, object, "summary.totalCpu"));
    put_int(row, "total_memory_bytes", object_text(pool, object, "summary.totalMemory"));
    put_bool(row, "ha_enabled", cluster_setting(pool, object, "dasConfig.enabled"));
    put_bool(row, "drs_enabled", cluster_setting(pool, object, "drsConfig.enabled"));
    put_text(row, "drs_automation_level", cluster_setting(pool, object, "drsConfig.defaultVmBehavior"));
    add_int(row, "used_cpu_mhz", 0);
    add_int(row, "used_memory_bytes", 0);
    add_int(row, "vm_count", 0);
    const xmlNode *list = object_value(object, "datastore");
    for (const xmlNode *node = xml_child(list, "ManagedObjectReference"); node != NULL;
         node = xml_next(node, "ManagedObjectReference")) {
        str_t id = xml_text(pool, node);
        json_array_append_new(stores, json_stringn(id.base, id.len));
    }
    json_object_set_new(row, "datastores", stores);
}

err_t *inventory_read_clusters(inventory_t *inventory)
{
    collect_t collect = {.type = "ClusterComputeResource",
                         .paths = CLUSTER_PATHS,
                         .page = 100,
                         .on_object = on_cluster,
                         .arg = inventory};
    return collect_all(inventory->vsphere, inventory->pool, &collect);
}

/* --- hosts --- */

static const char *const HOST_PATHS[] = {"name",
                                         "parent",
                                         "hardware.systemInfo",
                                         "hardware.memorySize",
                                         "summary.hardware",
                                         "summary.quickStats",
                                         "summary.config.product",
                                         "runtime.connectionState",
                                         "runtime.powerState",
                                         "runtime.inMaintenanceMode",
                                         "config.network.vnic",
                                         NULL};

/* Virtual machines that play hosts have a tag of this form: it names no machine that somebody owns. */
static bool is_real_tag(str_t tag)
{
    return tag.len > 0 && !str_starts_with(tag, STR("VMware-"));
}

static str_t read_tag(pool_t *pool, const object_t *object)
{
    const xmlNode *info = object_value(object, "hardware.systemInfo");
    str_t serial = str_trim(xml_text(pool, xml_child(info, "serialNumber")));
    if (is_real_tag(serial))
        return serial;
    for (const xmlNode *node = xml_child(info, "otherIdentifyingInfo"); node != NULL;
         node = xml_next(node, "otherIdentifyingInfo")) {
        str_t value = str_trim(xml_text(pool, xml_child(node, "identifierValue")));
        if (str_eq(xml_text(pool, xml_at(node, "identifierType.key")), STR("ServiceTag")) &&
            is_real_tag(value))
            return value;
    }
    return STR_NULL;
}

static str_t read_version(pool_t *pool, const object_t *object)
{
    str_t version = object_text(pool, object, "summary.config.product.version"),
          build = object_text(pool, object, "summary.config.product.build");
    return version.len > 0 && build.len > 0 ? pool_concat(pool, 3, version, STR(" "), build) : version;
}

static void put_use(inventory_t *inventory, pool_t *pool, const object_t *object, json_t *row,
                    json_t *cluster)
{
    int64_t mhz = 0, mib = 0;
    str_t cpu = object_text(pool, object, "summary.quickStats.overallCpuUsage"),
          memory = object_text(pool, object, "summary.quickStats.overallMemoryUsage");
    (void)inventory;
    put_int(row, "cpu_usage_mhz", cpu);
    put_int(row, "memory_usage_mb", memory);
    put_int(row, "uptime_seconds", object_text(pool, object, "summary.quickStats.uptime"));
    if (str_to_int64(cpu, &mhz))
        add_int(cluster, "used_cpu_mhz", mhz);
    if (str_to_int64(memory, &mib))
        add_int(cluster, "used_memory_bytes", mib * BYTES_OF_MIB);
}

static void on_host(void *arg, pool_t *pool, const object_t *object)
{
    inventory_t *inventory = arg;
    json_t *row = inventory_row(inventory, "hosts", object);
    json_t *cluster = inventory_find(inventory, object_ref(pool, object, "parent").id);
    put_text(row, "name", object_text(pool, object, "name"));
    if (cluster != NULL)
        json_object_set(row, "cluster", json_object_get(cluster, "cluster_name"));
    put_text(row, "serial_number", read_tag(pool, object));
    put_text(row, "esxi_version", read_version(pool, object));
    put_text(row, "status", object_text(pool, object, "runtime.connectionState"));
    put_text(row, "power_state", object_text(pool, object, "runtime.powerState"));
    put_bool(row, "maintenance_mode", object_text(pool, object, "runtime.inMaintenanceMode"));
    put_int(row, "memory_size", object_text(pool, object, "hardware.memorySize"));
    put_text(row, "vendor", object_text(pool, object, "hardware.systemInfo.vendor"));
    put_text(row, "model", object_text(pool, object, "hardware.systemInfo.model"));
    put_text(row, "cpu_model", object_text(pool, object, "summary.hardware.cpuModel"));
    put_int(row, "cpu_cores", object_text(pool, object, "summary.hardware.numCpuCores"));
    put_int(row, "cpu_mhz", object_text(pool, object, "summary.hardware.cpuMhz"));
    put_text(row, "management_ip",
             xml_text(pool, xml_at(xml_child(object_value(object, "config.network.vnic"), "HostVirtualNic"),
                                   "spec.ip.ipAddress")));
    put_use(inventory, pool, object, row, cluster);
}

err_t *inventory_read_hosts(inventory_t *inventory)
{
    collect_t collect = {
        .type = "HostSystem", .paths = HOST_PATHS, .page = 200, .on_object = on_host, .arg = inventory};
    return collect_all(inventory->vsphere, inventory->pool, &collect);
}
