#include "functions/vcenter_store.h"

/* Lists that are stored alike: a row is known by its key and its vCenter; absent members leave what is
 * stored. */
typedef struct {
    const char *list, *table, *key, *name; /* name: the member that people know it by */
    const char *columns;
    const char *gone; /* what becomes of rows that the service no longer has; NULL: deleted */
} part_t;

static const part_t PARTS[] = {
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
    "   and not exists (select from jsonb_array_elements($1::jsonb) where value ->> '%2$s' = t.%2$s)"

static const char PLACE_SQL[] =
    "update public.vcenter_vms v set host_id = h.id"
    "  from jsonb_array_elements($1::jsonb) as item"
    "  join public.vcenter_hosts h on h.vcenter_id = item.value ->> 'host'"
    "                             and h.source_vcenter_id is not distinct from $2::uuid"
    " where v.vcenter_id = item.value ->> 'vcenter_id' and v.source_vcenter_id is not distinct from $2::uuid"
    "   and v.host_id is distinct from h.id";

static const char HOSTS_GONE_SQL[] =
    "update public.vcenter_hosts t set status = 'removed'"
    " where source_vcenter_id = $2::uuid and status is distinct from 'removed'"
    "   and not exists (select from jsonb_array_elements($1::jsonb) where value ->> 'vcenter_id' = "
    "t.vcenter_id)";

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

/* What the store is about to do with one list. */
typedef struct {
    api_task_t *task;
    db_session_t *session;
    str_t source; /* row of vcenters, or null */
    sync_summary_t *summary;
} store_t;

/* One bad item costs the others nothing: after an error each goes alone. */
static err_t *take_part(const store_t *store, const part_t *part, const json_t *items)
{
    size_t i;
    json_t *item;
    pool_t *pool = store->task->pool;
    str_t sql = pool_printf(pool, UPSERT_SQL, part->table, part->key, part->columns);
    err_t *err = sync_try(store->session, sql, DB_PARAMS(read_json_dump(pool, items), store->source), NULL);
    if (err == NULL || err->status == 503)
        return err;
    json_array_foreach(items, i, item)
    {
        str_t one = pool_concat(pool, 3, STR("["), read_json_dump(pool, item), STR("]"));
        err = sync_try(store->session, sql, DB_PARAMS(one, store->source), NULL);
        if (err != NULL && err->status == 503)
            return err;
        if (err != NULL)
            sync_summary_fail(
                store->task, store->summary,
                pool_printf(pool, "%s %.*s", part->list, STR_ARG(read_json_str(item, part->name))),
                fn_error_text(store->task, err));
    }
    return NULL;
}

static err_t *mark_gone(const store_t *store, const part_t *part, str_t items)
{
    pool_t *pool = store->task->pool;
    str_t sql = part->gone != NULL
                    ? pool_printf(pool, "update public.%1$s t set %3$s" GONE_SQL " and not (%3$s) is true",
                                  part->table, part->key, part->gone)
                    : pool_printf(pool, "delete from public.%1$s t" GONE_SQL, part->table, part->key);
    return db_session_query(store->session, sql, DB_PARAMS(items, store->source), NULL);
}

/* Keys of alarms are unique in the table, and repeat across vCenters. */
static void qualify_alarms(const store_t *store, const json_t *alarms)
{
    size_t i;
    json_t *alarm;
    json_array_foreach(alarms, i, alarm)
    {
        str_t key =
            pool_concat(store->task->pool, 3, store->source, STR("/"), read_json_str(alarm, "alarm_key"));
        json_object_set_new(alarm, "alarm_key", json_stringn(key.base, key.len));
    }
}

static err_t *store_part(const store_t *store, const part_t *part, const json_t *items, bool is_complete)
{
    if (part->gone == NULL && !str_is_null(store->source))
        qualify_alarms(store, items);
    err_t *err = json_array_size(items) > 0 ? take_part(store, part, items) : NULL;
    if (err == NULL && is_complete)
        err = mark_gone(store, part, read_json_dump(store->task->pool, items));
    return err;
}

static err_t *store_hosts(const store_t *store, const sync_request_t *request, const json_t *hosts,
                          bool is_complete)
{
    size_t i;
    json_t *host;
    json_array_foreach(hosts, i, host)
    {
        err_t *err = vcenter_hosts_take(store->task, store->session, request, host, store->summary);
        if (err != NULL)
            return err;
    }
    if (!is_complete)
        return NULL;
    err_t *err = db_session_query(store->session, FN_SQL(HOSTS_GONE_SQL),
                                  DB_PARAMS(read_json_dump(store->task->pool, hosts), store->source), NULL);
    return err != NULL ? err
                       : db_session_query(store->session, FN_SQL(GROUPS_SQL), DB_PARAMS(store->source), NULL);
}

err_t *vcenter_store(api_task_t *task, db_session_t *session, const sync_request_t *request,
                     const json_t *inventory, bool is_complete, sync_summary_t *summary)
{
    store_t store = {task, session, request->source, summary};
    const json_t *hosts = read_json_array(inventory, "hosts"), *machines = read_json_array(inventory, "vms");
    bool marks = is_complete && !str_is_null(request->source);
    err_t *err = hosts != NULL ? store_hosts(&store, request, hosts, is_complete) : NULL;
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]) && err == NULL; i++) {
        const json_t *items = read_json_array(inventory, PARTS[i].list);
        if (items != NULL)
            err = store_part(&store, &PARTS[i], items, marks);
    }
    if (err == NULL && json_array_size(machines) > 0)
        err = db_session_query(session, FN_SQL(PLACE_SQL),
                               DB_PARAMS(read_json_dump(task->pool, machines), request->source), NULL);
    return err;
}
