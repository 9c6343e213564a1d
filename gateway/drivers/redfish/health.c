#include "drivers/redfish/client.h"

#include "base/read_json.h"

#include <math.h>

enum { SENSORS_MAX = 5, PARTS_MAX = 64, CONTROLLERS_MAX = 8 };

static void drop_json(void *value)
{
    json_decref(value);
}

static json_t *owned(pool_t *pool, json_t *value)
{
    pool_on_dispose(pool, drop_json, value);
    return value;
}

/* Absent and disabled parts have no say; unknown health has none either. */
static str_t health_of(const json_t *item)
{
    const json_t *status = read_json_object(item, "Status");
    if (status == NULL)
        return STR_NULL;
    str_t state = read_json_str(status, "State");
    if (str_eq(state, STR("Absent")) || str_eq(state, STR("Disabled")))
        return STR_NULL;
    str_t health = read_json_str(status, "Health");
    return health.len > 0 ? health : read_json_str(status, "HealthRollup");
}

str_t redfish_rollup(const json_t *items)
{
    const json_t *item;
    size_t index, known = 0, good = 0;
    bool is_critical = false;
    json_array_foreach(items, index, item)
    {
        str_t health = health_of(item);
        if (health.len == 0)
            continue;
        known++;
        good += str_eq(health, STR("OK"));
        is_critical = is_critical || str_eq(health, STR("Critical"));
    }
    if (known == 0)
        return STR_NULL;
    if (is_critical)
        return STR("Critical");
    return good == known ? STR("OK") : STR("Warning");
}

static void note_missing(redfish_health_t *out, const char *part, const err_t *err)
{
    json_object_set_new(out->missing, part, json_stringn(err->message.base, err->message.len));
}

static void add_sensor(json_t *list, const json_t *item, const char *value_key, const char *name)
{
    json_t *value = json_object_get(item, value_key);
    if (json_array_size(list) >= SENSORS_MAX)
        return;
    str_t health = health_of(item);
    json_t *sensor = json_object();
    json_object_set(sensor, "name", json_object_get(item, "Name"));
    json_object_set(sensor, name, json_is_number(value) ? value : json_null());
    json_object_set_new(sensor, "status",
                        health.len > 0 ? json_stringn(health.base, health.len) : json_null());
    json_array_append_new(list, sensor);
}

static void read_temperatures(const json_t *thermal, redfish_health_t *out)
{
    const json_t *item;
    json_t *list = json_array();
    size_t index, count = 0;
    double sum = 0;
    json_array_foreach(read_json_array(thermal, "Temperatures"), index, item)
    {
        const json_t *reading = json_object_get(item, "ReadingCelsius");
        if (!json_is_number(reading))
            continue;
        sum += json_number_value(reading);
        count++;
        add_sensor(list, item, "ReadingCelsius", "reading_celsius");
    }
    json_object_set_new(out->sensors, "temperatures", list);
    out->has_temperature = count > 0;
    if (count > 0)
        out->temperature = round(sum / (double)count * 10) / 10;
}

static void read_fans(const json_t *thermal, redfish_health_t *out)
{
    const json_t *fans = read_json_array(thermal, "Fans"), *item;
    json_t *list = json_array();
    size_t index;
    json_array_foreach(fans, index, item) add_sensor(list, item, "Reading", "reading_rpm");
    json_object_set_new(out->sensors, "fans", list);
    out->fan = redfish_rollup(fans);
}

static err_t *read_thermal(redfish_t *redfish, pool_t *pool, redfish_health_t *out)
{
    json_t *body = NULL;
    err_t *err = redfish_get(redfish, pool, STR(REDFISH_CHASSIS "/Thermal"), &body);
    if (err != NULL)
        return err;
    read_temperatures(body, out);
    read_fans(body, out);
    return NULL;
}

static err_t *read_power(redfish_t *redfish, pool_t *pool, redfish_health_t *out)
{
    json_t *body = NULL;
    err_t *err = redfish_get(redfish, pool, STR(REDFISH_CHASSIS "/Power"), &body);
    if (err == NULL)
        out->psu = redfish_rollup(read_json_array(body, "PowerSupplies"));
    return err;
}

/* Members of a collection of the system, expanded where the device can, folded into one word. */
static err_t *read_parts(redfish_t *redfish, pool_t *pool, const char *name, size_t limit, str_t *out)
{
    json_t *members = NULL;
    str_t path = pool_printf(pool, REDFISH_SYSTEM "/%s?$expand=*($levels=1)", name);
    err_t *err = redfish_members(redfish, pool, path, limit, &members);
    if (err != NULL && err->status == 400) /* firmware that refuses the query option */
        err = redfish_members(redfish, pool, pool_printf(pool, REDFISH_SYSTEM "/%s", name), limit, &members);
    if (err == NULL)
        *out = redfish_rollup(members);
    return err;
}

static bool is_fatal(const err_t *err)
{
    return str_eq(err->code, STR("auth")) || str_eq(err->code, STR("breaker")) ||
           str_eq(err->code, STR("cancelled"));
}

/* One part more; false when the device is not to be asked for another. `*first` keeps the first trouble: what
 * comes later (an open breaker) is only its consequence. */
static bool took_part(redfish_health_t *out, const char *name, err_t *err, err_t **first)
{
    if (err == NULL)
        return true;
    note_missing(out, name, err);
    if (*first == NULL)
        *first = err;
    return !is_fatal(err);
}

err_t *redfish_read_health(redfish_t *redfish, pool_t *pool, redfish_health_t *out)
{
    *out = (redfish_health_t){.sensors = owned(pool, json_object()), .missing = owned(pool, json_object())};
    err_t *err = redfish_read_system(redfish, pool, &out->system);
    if (err != NULL)
        return err;
    out->power_state = out->system.power_state;
    out->overall_health = out->system.health;
    struct {
        const char *name;
        const char *collection;
        size_t limit;
        str_t *into;
    } parts[] = {{"storage", "Storage", CONTROLLERS_MAX, &out->storage},
                 {"memory", "Memory", PARTS_MAX, &out->memory},
                 {"cpu", "Processors", PARTS_MAX, &out->cpu},
                 {"network", "NetworkInterfaces", PARTS_MAX, &out->network}};
    err_t *first = NULL;
    if (!took_part(out, "thermal", read_thermal(redfish, pool, out), &first) ||
        !took_part(out, "power", read_power(redfish, pool, out), &first))
        return first;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        err = read_parts(redfish, pool, parts[i].collection, parts[i].limit, parts[i].into);
        if (!took_part(out, parts[i].name, err, &first))
            return first;
    }
    return NULL;
}
