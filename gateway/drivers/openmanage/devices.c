#include "drivers/openmanage/exchange.h"

#include "base/map.h"
#include "base/read_json.h"

enum { PAGES_MAX = 10000, SERVER_TYPE = 1000 };

static void put(json_t *row, const char *key, str_t text)
{
    if (text.len > 0)
        json_object_set_new(row, key, json_stringn(text.base, text.len));
}

static str_t either(str_t one, str_t other)
{
    return one.len > 0 ? one : other;
}

/* The first address under which it is managed. */
static str_t address_of(const json_t *device)
{
    size_t i;
    const json_t *entry;
    str_t address = STR_NULL;
    json_array_foreach(read_json_array(device, "DeviceManagement"), i, entry)
    {
        if (address.len == 0)
            address = read_json_str(entry, "NetworkAddress");
    }
    return address;
}

static void take(pool_t *pool, json_t *list, const json_t *device)
{
    if (!json_is_object(device) || read_json_int(device, "Type", SERVER_TYPE) != SERVER_TYPE)
        return;
    json_t *row = json_object();
    int64_t id = read_json_int(device, "Id", 0);
    str_t text = id > 0 ? pool_printf(pool, "%lld", (long long)id) : STR_NULL;
    put(row, "device_id", text);
    put(row, "service_tag",
        either(read_json_str(device, "DeviceServiceTag"), read_json_str(device, "Identifier")));
    put(row, "model", read_json_str(device, "Model"));
    put(row, "hostname", read_json_str(device, "DeviceName"));
    put(row, "ip_address", address_of(device));
    json_array_append_new(list, row);
}

/* One page; `*next` is the null string behind the last. */
static err_t *read_page(openmanage_t *openmanage, pool_t *pool, str_t path, json_t *list, str_t *next)
{
    size_t i;
    const json_t *device;
    json_t *body = NULL;
    pool_t *page = pool_create();
    err_t *err = openmanage_get(openmanage, page, path, &body);
    const json_t *devices = err == NULL ? read_json_array(body, "value") : NULL;
    if (err == NULL && devices == NULL)
        err =
            err_make(page, 502, ERR_FAMILY_UPSTREAM, "protocol", "OpenManage's answer is no list of devices");
    json_array_foreach(devices, i, device) take(page, list, device);
    str_t link = err == NULL ? read_json_str(body, "@odata.nextLink") : STR_NULL;
    *next = STR_NULL;
    if (link.len > 0)
        err = openmanage_link(openmanage, page, link, next);
    *next = err == NULL && next->len > 0 ? pool_str(pool, *next) : STR_NULL;
    err = err != NULL ? err_copy(pool, err) : NULL;
    pool_destroy(page);
    return err;
}

static void free_json(void *arg)
{
    json_decref(arg);
}

err_t *openmanage_servers(openmanage_t *openmanage, pool_t *pool, json_t **out)
{
    str_t path = STR("/api/DeviceService/Devices?$filter=Type%20eq%201000");
    map_t *seen = map_create(pool, 32);
    *out = json_array();
    pool_on_dispose(pool, free_json, *out);
    for (int i = 0; i < PAGES_MAX && path.len > 0; i++) {
        if (map_put(seen, path, *out) != NULL)
            break;
        err_t *err = read_page(openmanage, pool, path, *out, &path);
        if (err != NULL)
            return err;
    }
    return path.len == 0 ? NULL
                         : err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                                    "OpenManage's pages of devices have no end");
}

err_t *openmanage_add_versions(openmanage_t *openmanage, pool_t *pool, json_t *server)
{
    size_t i;
    json_t *body = NULL;
    const json_t *entry;
    str_t path = pool_printf(pool, "/api/DeviceService/Devices(%.*s)/InventoryDetails('deviceSoftware')",
                             STR_ARG(read_json_str(server, "device_id")));
    err_t *err = openmanage_get(openmanage, pool, path, &body);
    if (err != NULL)
        return err;
    json_array_foreach(read_json_array(body, "InventoryInfo"), i, entry)
    {
        str_t name = read_json_str(entry, "DeviceDescription"), version = read_json_str(entry, "Version");
        if (str_eq_nocase(name, STR("BIOS")) || str_eq(read_json_str(entry, "SoftwareType"), STR("BIOS")))
            put(server, "bios_version", version);
        else if (str_find(name, STR("Remote Access Controller"), 0) != SIZE_MAX)
            put(server, "idrac_firmware", version);
    }
    return NULL;
}
