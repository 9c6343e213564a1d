#include "executor/instant/routes.h"

#include "base/read_json.h"

#define ATTRIBUTES REDFISH_MANAGER "/Attributes"

static json_t *value_or_null(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return value != NULL ? json_incref(value) : json_null();
}

/* --- boot --- */

err_t *instant_boot_config_read(instant_call_t *call)
{
    static const char *const KEYS[][3] = {
        {"boot_mode", "BootSourceOverrideMode", "boot_mode"},
        {"boot_source_override_enabled", "BootSourceOverrideEnabled", "boot_source_override_enabled"},
        {"boot_source_override_target", "BootSourceOverrideTarget", "boot_source_override_target"},
        {"uefi_target", "UefiTargetBootSourceOverride", NULL}};
    redfish_system_t system;
    err_t *err = redfish_read_system(call->device->redfish, call->pool, &system);
    if (err != NULL)
        return err;
    const json_t *boot = read_json_object(system.system, "Boot"), *order = read_json_array(boot, "BootOrder");
    json_t *columns = json_object();
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
        json_object_set_new(call->answer, KEYS[i][0], value_or_null(boot, KEYS[i][1]));
        if (KEYS[i][2] != NULL)
            json_object_set_new(columns, KEYS[i][2], value_or_null(boot, KEYS[i][1]));
    }
    json_object_set_new(call->answer, "boot_order", order != NULL ? json_deep_copy(order) : json_array());
    json_object_set(columns, "boot_order", json_object_get(call->answer, "boot_order"));
    json_object_set_new(columns, "last_boot_config_check", device_now(call->pool));
    device_patch_row(call->job, call->pool, "servers", read_json_str(call->server, "id"), columns);
    return NULL;
}

/* --- BIOS --- */

static err_t *store_snapshot(const instant_call_t *call, const json_t *attributes, json_t **id)
{
    json_t *row = json_object(), *rows = NULL;
    str_t notes = read_json_str(call->input, "notes");
    json_object_set(row, "server_id", json_object_get(call->server, "id"));
    json_object_set(row, "attributes", (json_t *)attributes);
    json_object_set(row, "bios_version", json_object_get(call->answer, "bios_version"));
    json_object_set_new(row, "snapshot_type", json_string("current"));
    json_object_set_new(row, "notes", device_text(notes.len > 0 ? notes : STR("Instant API snapshot")));
    json_object_set_new(row, "captured_at", device_now(call->pool));
    json_object_set_new(row, "created_by", device_text(call->job->user_id));
    err_t *err = gateway_write(job_client(call->job), call->pool, STR("POST"), STR("bios_configurations"),
                               row, STR_NULL, &rows);
    json_decref(row);
    if (err == NULL)
        *id = json_object_get(json_array_get(rows, 0), "id");
    return err;
}

err_t *instant_bios_config_read(instant_call_t *call)
{
    json_t *bios = NULL, *id = NULL;
    redfish_system_t system;
    redfish_t *redfish = call->device->redfish;
    err_t *err = redfish_read_system(redfish, call->pool, &system);
    if (err == NULL)
        err = redfish_get(redfish, call->pool, STR(REDFISH_SYSTEM "/Bios"), &bios);
    if (err != NULL)
        return err;
    const json_t *attributes = read_json_object(bios, "Attributes");
    if (attributes == NULL)
        return err_make(call->pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                        "The BIOS resource has no attributes");
    json_object_set_new(call->answer, "attributes", json_deep_copy(attributes));
    json_object_set_new(call->answer, "bios_version", device_text(system.bios_version));
    json_object_set_new(call->answer, "attribute_registry", value_or_null(bios, "AttributeRegistry"));
    err = store_snapshot(call, attributes, &id);
    json_object_set(call->answer, "config_id", id);
    return err;
}

/* --- network --- */

typedef enum { AS_IS, AS_FLAG } form_t;

typedef struct {
    const char *name, *attribute;
    form_t form;
    bool is_on_when_absent;
} network_key_t;

static const network_key_t IPV4[] = {{"enabled", "IPv4.1.Enable", AS_FLAG, true},
                                     {"dhcp_enabled", "IPv4.1.DHCPEnable", AS_FLAG, false},
                                     {"address", "IPv4.1.Address", AS_IS, false},
                                     {"gateway", "IPv4.1.Gateway", AS_IS, false},
                                     {"netmask", "IPv4.1.Netmask", AS_IS, false},
                                     {"dns1", "IPv4.1.DNS1", AS_IS, false},
                                     {"dns2", "IPv4.1.DNS2", AS_IS, false},
                                     {"dns_from_dhcp", "IPv4.1.DNSFromDHCP", AS_FLAG, false},
                                     {NULL, NULL, AS_IS, false}};
static const network_key_t NIC[] = {{"selection", "NIC.1.Selection", AS_IS, false},
                                    {"speed", "NIC.1.Speed", AS_IS, false},
                                    {"duplex", "NIC.1.Duplex", AS_IS, false},
                                    {"mtu", "NIC.1.MTU", AS_IS, false},
                                    {"vlan_enabled", "NIC.1.VLanEnable", AS_FLAG, false},
                                    {"vlan_id", "NIC.1.VLanID", AS_IS, false},
                                    {"vlan_priority", "NIC.1.VLanPriority", AS_IS, false},
                                    {NULL, NULL, AS_IS, false}};
static const network_key_t NTP[] = {{"enabled", "NTPConfigGroup.1.NTPEnable", AS_FLAG, false},
                                    {"server1", "NTPConfigGroup.1.NTP1", AS_IS, false},
                                    {"server2", "NTPConfigGroup.1.NTP2", AS_IS, false},
                                    {"server3", "NTPConfigGroup.1.NTP3", AS_IS, false},
                                    {"timezone", "Time.1.Timezone", AS_IS, false},
                                    {NULL, NULL, AS_IS, false}};

static json_t *describe(const json_t *attributes, const network_key_t *keys)
{
    json_t *out = json_object();
    for (; keys->name != NULL; keys++) {
        str_t text = read_json_str(attributes, keys->attribute);
        bool is_on = text.len > 0 ? str_eq(text, STR("Enabled")) : keys->is_on_when_absent;
        json_object_set_new(out, keys->name,
                            keys->form == AS_FLAG ? json_boolean(is_on)
                                                  : value_or_null(attributes, keys->attribute));
    }
    return out;
}

err_t *instant_network_config_read(instant_call_t *call)
{
    json_t *resource = NULL;
    err_t *err = redfish_get(call->device->redfish, call->pool, STR(ATTRIBUTES), &resource);
    if (err != NULL)
        return err;
    const json_t *attributes = read_json_object(resource, "Attributes");
    json_object_set(call->answer, "ip_address", json_object_get(call->server, "ip_address"));
    json_object_set_new(call->answer, "ipv4", describe(attributes, IPV4));
    json_object_set_new(call->answer, "nic", describe(attributes, NIC));
    json_object_set_new(call->answer, "ntp", describe(attributes, NTP));
    return NULL;
}

static bool is_network_key(const char *name)
{
    const network_key_t *const GROUPS[] = {IPV4, NIC, NTP};
    for (size_t i = 0; i < sizeof(GROUPS) / sizeof(GROUPS[0]); i++)
        for (const network_key_t *key = GROUPS[i]; key->name != NULL; key++)
            if (strcmp(key->attribute, name) == 0)
                return true;
    return false;
}

/* Only what network_config_read shows may be changed: the resource also holds users and passwords. */
static err_t *check_changes(const instant_call_t *call, json_t *changes)
{
    const char *name;
    json_t *value;
    if (json_object_size(changes) == 0)
        return err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "changes dict is required");
    json_object_foreach(changes, name, value)
    {
        if (!is_network_key(name) || json_is_object(value) || json_is_array(value))
            return err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "%.100s is no network setting", name);
    }
    return NULL;
}

err_t *instant_network_config_write(instant_call_t *call)
{
    json_t *changes = read_json_object(call->input, "changes"), *value, *applied = json_array(), *audit;
    const char *name;
    json_object_set_new(call->answer, "applied_changes", applied);
    err_t *err = check_changes(call, changes);
    if (err != NULL)
        return err;
    json_t *body = json_pack("{s:O}", "Attributes", changes);
    err = redfish_patch(call->device->redfish, call->pool, STR(ATTRIBUTES), body, NULL);
    json_decref(body);
    if (err != NULL)
        return err;
    json_object_foreach(changes, name, value) json_array_append_new(applied, json_string(name));
    audit = json_pack("{s:O,s:O}", "server_id", json_object_get(call->server, "id"), "changes", changes);
    job_audit(call->job, "idrac_network_changed", audit);
    str_t address = read_json_str(changes, "IPv4.1.Address"), id = read_json_str(call->server, "id");
    bool is_moved = address.len > 0 && !str_eq(address, read_json_str(call->server, "ip_address"));
    if (is_moved)
        device_patch_row(call->job, call->pool, "servers", id,
                         json_pack("{s:o}", "ip_address", device_text(address)));
    json_object_set_new(call->answer, "ip_changed", json_boolean(is_moved));
    json_object_set_new(call->answer, "new_ip", is_moved ? device_text(address) : json_null());
    json_object_set_new(call->answer, "message", json_string("Network settings applied successfully"));
    return NULL;
}
