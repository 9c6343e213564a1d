#include "functions/vcenter_store.h"

#include "functions/vcenter_items.h"

/* Lists that are stored alike: a row is known by its key and its vCenter; absent members leave what is
 * stored. */
typedef struct {
    const char *list, *table, *key, *name; /* name: the member that people know it by */
    const char *columns;                   /* NULL: taken elsewhere */
    const char *gone; /* what becomes of rows that the service no longer has; NULL: deleted */
} part_t;

static const part_t PARTS[] = {
    {"hosts", "vcenter_hosts", "vcenter_id", "name", NULL, "status = 'removed'"},
    {"clusters", "vcenter_clusters", "cluster_name", "cluster_name",
     "vcenter_id, total_cpu_mhz, used_cpu_mhz, total_memory_bytes, used_memory_bytes, total_storage_bytes,"
     " used_storage_bytes, host_count, vm_count, ha_enabled, drs_enabled, drs_automation_level, "
     "overall_status, last_sync",
     "overall_status = 'removed'"},
    {"datastores", "vcenter_datastores", "vcenter_id", "name",
     "name, type, capacity_bytes, free_bytes, accessible, maintenance_mode, vm_count, host_count, last_sync",
     "accessible = false"},
    {"networks", "vcenter_networks", "vcenter_id", "name",
     "name, network_type, vlan_id, vlan_type, vlan_range, parent_switch_name, parent_switch_id, accessible,"
     " host_count, vm_count, uplink_port_group, last_sync",
     "accessible = false"},
    {"vms", "vcenter_vms", "vcenter_id", "name",
     "name, cluster_name, power_state, guest_os, cpu_count, memory_mb, disk_gb, ip_address, tools_status,"
     " tools_version, overall_status, notes, is_template, resource_pool, hardware_version, folder_path,"
     " snapshot_count, guest_id, firmware, scsi_controller_type, last_sync",
     "overall_status = 'removed'"},
    {"alarms", "vcenter_alarms", "alarm_key", "alarm_name",
     "entity_type, entity_name, entity_id, alarm_name, alarm_status, acknowledged, triggered_at, description",
     NULL},
};

/* The names are the table's above; %1 table, %2 key, %3 columns. Values come bound. */
#define ITEM_SQL                                                                                             \
    "with item as ("                                                                                         \
    "    select distinct on (k) k, value || jsonb_build_object('last_sync', now()) as j"                     \
    "      from jsonb_array_elements($1::jsonb), lateral (select value ->> '%2$s' as k) as key"              \
    "     where k <> '')"

#define UPSERT_SQL                                                                                           \
    ITEM_SQL ", known as ("                                                                                  \
             "    update public.%1$s t set (%3$s) = (select %3$s from jsonb_populate_record(t, item.j))"     \
             "      from item where t.%2$s = item.k and t.source_vcenter_id is not distinct from $2::uuid"   \
             "    returning t.%2$s as k)"                                                                    \
             " insert into public.%1$s (%2$s, source_vcenter_id, %3$s)"                                      \
             " select item.k, $2::uuid, %3$s"                                                                \
             "   from item, lateral jsonb_populate_record(null::public.%1$s, item.j - '%2$s')"               \
             "  where not exists (select from known where known.k = item.k)"

#define GONE_SQL                                                                                             \
    " where source_vcenter_id = $2::uuid"                                                                    \
    "   and not exists (select from jsonb_array_elements_text($1::jsonb) as present where present = t.%2$s)"

/* What was registered anew has another id, and its name is unique within the vCenter. */
static const char RENEWED_SQL[] =
    "update public.vcenter_vms t set vcenter_id = item.value ->> 'vcenter_id'"
    "  from jsonb_array_elements($1::jsonb) as item"
    " where t.source_vcenter_id = $2::uuid and t.name = item.value ->> 'name' and t.overall_status = "
    "'removed'"
    "   and not exists (select from public.vcenter_vms o where o.source_vcenter_id = $2::uuid"
    "                                                      and o.vcenter_id = item.value ->> 'vcenter_id')";

static const char PLACE_SQL[] =
    "update public.vcenter_vms v set host_id = h.id"
    "  from jsonb_array_elements($1::jsonb) as item"
    "  join public.vcenter_hosts h on h.vcenter_id = item.value ->> 'host'"
    "                             and h.source_vcenter_id is not distinct from $2::uuid"
    " where v.vcenter_id = item.value ->> 'vcenter_id' and v.source_vcenter_id is not distinct from $2::uuid"
    "   and v.host_id is distinct from h.id";

/* A group that somebody made under a cluster's name stays theirs. */
static const char GROUPS_SQL[] =
    "with cluster as ("
    "    select distinct cluster as name from public.vcenter_hosts"
    "     where source_vcenter_id is not distinct from $1::uuid and cluster <> '' and status <> 'removed'"
    "), made as ("
    "    insert into public.server_groups (name, description, group_type)"
    "    select name, 'vCenter cluster ' || name, 'vcenter_cluster' from cluster"
    "        on conflict (name) do nothing returning id, name"
    "), every as ("
    "    select id, name from made union all"
    "    select g.id, g.name from public.server_groups g join cluster using (name)"
    "     where g.group_type = 'vcenter_cluster'"
    ")"
    " insert into public.server_group_members (server_group_id, server_id)"
    " select every.id, h.server_id from every join public.vcenter_hosts h on h.cluster = every.name"
    "  where h.server_id is not null and h.source_vcenter_id is not distinct from $1::uuid"
    " on conflict (server_group_id, server_id) do nothing";

/* Keys of alarms are unique in the table, and repeat across vCenters. */
static str_t key_of(const vcenter_store_t *store, const part_t *part, str_t key)
{
    bool repeats = part->gone == NULL && !str_is_null(store->source);
    return repeats ? pool_concat(store->task->pool, 3, store->source, STR("/"), key) : key;
}

static void qualify_alarms(const vcenter_store_t *store, const part_t *part, const json_t *alarms)
{
    size_t i;
    json_t *alarm;
    json_array_foreach(alarms, i, alarm)
    {
        str_t key = key_of(store, part, read_json_str(alarm, part->key));
        json_object_set_new(alarm, part->key, json_stringn(key.base, key.len));
    }
}

/* --- what is gone --- */

/* The keys as a JSON array; the null string when nothing is known of the list. */
static str_t read_present(const vcenter_store_t *store, const part_t *part, const json_t *inventory)
{
    size_t i;
    json_t *item;
    const json_t *named = read_json_object(inventory, "present");
    const json_t *list = read_json_array(named != NULL ? named : inventory, part->list);
    if (list == NULL)
        return STR_NULL;
    json_t *keys = json_array();
    json_array_foreach(list, i, item)
    {
        str_t key = named == NULL          ? read_json_str(item, part->key)
                    : json_is_string(item) ? str_make(json_string_value(item), json_string_length(item))
                                           : STR_NULL;
        key = key_of(store, part, key);
        json_array_append_new(keys, json_stringn(key.len > 0 ? key.base : "", key.len));
    }
    str_t text = read_json_dump(store->task->pool, keys);
    json_decref(keys);
    return text;
}

static err_t *mark_gone(const vcenter_store_t *store, const part_t *part, str_t present)
{
    pool_t *pool = store->task->pool;
    str_t sql = part->gone != NULL
                    ? pool_printf(pool, "update public.%1$s t set %3$s" GONE_SQL " and not (%3$s) is true",
                                  part->table, part->key, part->gone)
                    : pool_printf(pool, "delete from public.%1$s t" GONE_SQL, part->table, part->key);
    err_t *err = db_session_query(store->session, sql, DB_PARAMS(present, store->source), NULL);
    return err != NULL ? err : vcenter_links_end(store, part->list, present);
}

/* Before anything is stored: names and links of what is gone are free for what comes. */
static err_t *mark_all(const vcenter_store_t *store, const json_t *inventory)
{
    err_t *err = NULL;
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]) && err == NULL; i++) {
        str_t present = read_present(store, &PARTS[i], inventory);
        if (!str_is_null(present))
            err = mark_gone(store, &PARTS[i], present);
    }
    return err;
}

/* --- what is there --- */

static err_t *take_part(const vcenter_store_t *store, const part_t *part, const json_t *items)
{
    vcenter_items_t what = {
        .list = part->list,
        .name = part->name,
        .sql = pool_printf(store->task->pool, UPSERT_SQL, part->table, part->key, part->columns)};
    if (part->gone == NULL)
        qualify_alarms(store, part, items);
    return vcenter_items_take(store, &what, items);
}

static err_t *take_machines(const vcenter_store_t *store, const part_t *part, const json_t *items)
{
    vcenter_items_t renewed = {.list = "vms", .name = "name", .member = "name", .sql = FN_SQL(RENEWED_SQL)},
                    placed = {.list = "vms", .name = "name", .member = "host", .sql = FN_SQL(PLACE_SQL)};
    err_t *err = str_is_null(store->source) ? NULL : vcenter_items_take(store, &renewed, items);
    if (err == NULL)
        err = take_part(store, part, items);
    return err != NULL ? err : vcenter_items_take(store, &placed, items);
}

static err_t *take_hosts(const vcenter_store_t *store, const sync_request_t *request, const json_t *hosts)
{
    size_t i;
    json_t *host;
    err_t *err = NULL;
    json_array_foreach(hosts, i, host)
    {
        if (err == NULL)
            err = vcenter_hosts_take(store->task, store->session, request, host, store->summary);
    }
    return err;
}

static err_t *take_list(const vcenter_store_t *store, const sync_request_t *request, const part_t *part,
                        const json_t *items)
{
    if (items == NULL)
        return NULL;
    if (part->columns == NULL)
        return take_hosts(store, request, items);
    return strcmp(part->list, "vms") == 0 ? take_machines(store, part, items) : take_part(store, part, items);
}

err_t *vcenter_store(api_task_t *task, db_session_t *session, const sync_request_t *request,
                     const json_t *inventory, bool is_complete, sync_summary_t *summary)
{
    size_t i, count = sizeof(PARTS) / sizeof(PARTS[0]);
    vcenter_store_t store = {task, session, request->source, summary};
    err_t *err = is_complete && !str_is_null(request->source) ? mark_all(&store, inventory) : NULL;
    for (i = 0; i < count && err == NULL; i++)
        err = take_list(&store, request, &PARTS[i], read_json_array(inventory, PARTS[i].list));
    if (err == NULL && is_complete)
        err = db_session_query(session, FN_SQL(GROUPS_SQL), DB_PARAMS(request->source), NULL);
    for (i = 0; i < count && err == NULL; i++)
        err = vcenter_links_take(&store, PARTS[i].list, read_json_array(inventory, PARTS[i].list));
    return err;
}
