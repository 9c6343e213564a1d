#include "drivers/redfish/client.h"

#include "base/read_json.h"

static str_t first_of(str_t a, str_t b)
{
    return a.len > 0 ? a : b;
}

static bool has_word(str_t text, const char *word)
{
    str_t needle = str_from_c(word);
    for (size_t i = 0; i + needle.len <= text.len; i++)
        if (str_eq_nocase(str_make(text.base + i, needle.len), needle))
            return true;
    return false;
}

void redfish_identify(const json_t *root, redfish_identity_t *out)
{
    const json_t *oem = read_json_object(root, "Oem");
    const json_t *dell = oem != NULL ? read_json_object(oem, "Dell") : NULL;
    *out = (redfish_identity_t){.product = read_json_str(root, "Product"),
                                .vendor = read_json_str(root, "Vendor"),
                                .redfish_version = read_json_str(root, "RedfishVersion")};
    if (dell != NULL) {
        out->service_tag = read_json_str(dell, "ServiceTag");
        out->mac_address = read_json_str(dell, "ManagerMACAddress");
    }
    out->is_idrac = dell != NULL || has_word(out->product, "integrated dell remote access") ||
                    has_word(out->product, "idrac") || str_eq_nocase(out->vendor, STR("Dell"));
    if (out->is_idrac && out->vendor.len == 0)
        out->vendor = STR("Dell");
}

void redfish_parse_system(pool_t *pool, const json_t *body, redfish_system_t *out)
{
    const json_t *cpus = read_json_object(body, "ProcessorSummary"),
                 *memory = read_json_object(body, "MemorySummary");
    const json_t *status = read_json_object(body, "Status");
    (void)pool;
    *out = (redfish_system_t){.hostname = read_json_str(body, "HostName"),
                              .model = read_json_str(body, "Model"),
                              .manufacturer = read_json_str(body, "Manufacturer"),
                              .service_tag =
                                  first_of(read_json_str(body, "SKU"), read_json_str(body, "SerialNumber")),
                              .bios_version = read_json_str(body, "BiosVersion"),
                              .power_state = read_json_str(body, "PowerState"),
                              .system = body};
    if (status != NULL)
        out->health = first_of(read_json_str(status, "Health"), read_json_str(status, "HealthRollup"));
    if (cpus != NULL) {
        out->cpu_count = read_json_int(cpus, "Count", 0);
        out->cpu_model = read_json_str(cpus, "Model");
    }
    if (memory != NULL) {
        const json_t *size = json_object_get(memory, "TotalSystemMemoryGiB");
        out->memory_gb = json_is_number(size) ? (int64_t)(json_number_value(size) + 0.5) : 0;
    }
}

err_t *redfish_read_system(redfish_t *redfish, pool_t *pool, redfish_system_t *out)
{
    json_t *body = NULL;
    err_t *err = redfish_get(redfish, pool, STR(REDFISH_SYSTEM), &body);
    if (err == NULL)
        redfish_parse_system(pool, body, out);
    return err;
}

err_t *redfish_read_manager(redfish_t *redfish, pool_t *pool, redfish_system_t *out)
{
    json_t *body = NULL;
    err_t *err = redfish_get(redfish, pool, STR(REDFISH_MANAGER), &body);
    if (err == NULL)
        out->firmware_version = read_json_str(body, "FirmwareVersion");
    return err;
}

static const json_t *reset_action(const json_t *system)
{
    const json_t *actions = read_json_object(system, "Actions");
    return actions != NULL ? read_json_object(actions, "#ComputerSystem.Reset") : NULL;
}

bool redfish_allows_reset(const json_t *system, str_t type)
{
    const json_t *action = reset_action(system), *value;
    const json_t *allowed =
        action != NULL ? read_json_array(action, "ResetType@Redfish.AllowableValues") : NULL;
    size_t index;
    if (json_array_size(allowed) == 0)
        return true;
    json_array_foreach(allowed, index, value)
    {
        if (json_is_string(value) && str_eq(str_from_c(json_string_value(value)), type))
            return true;
    }
    return false;
}

err_t *redfish_reset(redfish_t *redfish, pool_t *pool, const json_t *system, str_t type)
{
    const json_t *action = reset_action(system);
    str_t target = action != NULL ? redfish_link_path(read_json_str(action, "target")) : STR_NULL;
    if (target.len == 0)
        target = STR(REDFISH_SYSTEM "/Actions/ComputerSystem.Reset");
    json_t *body = json_pack("{s:s%}", "ResetType", type.base, type.len);
    err_t *err = redfish_post(redfish, pool, target, body, NULL);
    json_decref(body);
    return err;
}
