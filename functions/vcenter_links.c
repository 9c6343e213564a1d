#include "functions/vcenter_items.h"

/* A member of an item is a list; each of its entries is a row of `table`. */
typedef struct {
    const char *list, *owner_table, *owner, *member;
    const char *table, *key; /* key: columns that are unique beside `owner` */
    const char *target_table, *target,
        *names;                   /* names: member of an entry with the target's id; NULL: no target */
    const char *columns, *absent; /* absent: what holds for members that are not told */
} link_t;

static const link_t LINKS[] = {
    {.list = "datastores",
     .owner_table = "vcenter_datastores",
     .owner = "datastore_id",
     .member = "hosts",
     .table = "vcenter_datastore_hosts",
     .key = "host_id",
     .target_table = "vcenter_hosts",
     .target = "host_id",
     .names = "host",
     .columns = "mount_path, accessible, read_only",
     .absent = "{\"accessible\": true, \"read_only\": false}"},
    {.list = "vms",
     .owner_table = "vcenter_vms",
     .owner = "vm_id",
     .member = "datastores",
     .table = "vcenter_datastore_vms",
     .key = "datastore_id",
     .target_table = "vcenter_datastores",
     .target = "datastore_id",
     .names = "datastore",
     .columns = "committed_bytes, uncommitted_bytes, is_primary_datastore",
     .absent = "{\"committed_bytes\": 0, \"uncommitted_bytes\": 0, \"is_primary_datastore\": false}"},
    {.list = "vms",
     .owner_table = "vcenter_vms",
     .owner = "vm_id",
     .member = "nics",
     .table = "vcenter_network_vms",
     .key = "network_id, nic_label",
     .target_table = "vcenter_networks",
     .target = "network_id",
     .names = "network",
     .columns = "mac_address, ip_addresses, adapter_type, connected",
     .absent = "{\"nic_label\": \"\", \"connected\": true}"},
    {.list = "vms",
     .owner_table = "vcenter_vms",
     .owner = "vm_id",
     .member = "snapshots",
     .table = "vcenter_vm_snapshots",
     .key = "snapshot_id",
     .columns = "name, description, created_at, is_current, parent_snapshot_id",
     .absent = "{\"name\": \"\", \"is_current\": false}"},
    {.list = "vms",
     .owner_table = "vcenter_vms",
     .owner = "vm_id",
     .member = "custom_attributes",
     .table = "vcenter_vm_custom_attributes",
     .key = "attribute_key",
     .columns = "attribute_value",
     .absent = "{}"},
};

/* Names are the table's above, values come bound. An item with an empty list has no entry, but loses its
 * rows. %1 owner_table, %2 owner, %3 member, %4 table, %5 key, %6 columns, %7 absent, %8 excluded columns, %9
 * target_id, %10 join, %11 target's column in the row, %12 what is missing, %13 qualified key */
#define LINK_SQL                                                                                             \
    "with entry as materialized ("                                                                           \
    "    select o.id as owner_id, %9$s as target_id, e.value as j"                                           \
    "      from jsonb_array_elements($1::jsonb) as item"                                                     \
    "      join public.%1$s o on o.vcenter_id = item.value ->> 'vcenter_id'"                                 \
    "                        and o.source_vcenter_id is not distinct from $2::uuid"                          \
    "      cross join lateral (select case jsonb_typeof(item.value -> '%3$s')"                               \
    "                          when 'array' then item.value -> '%3$s' end as list) as m"                     \
    "      left join lateral jsonb_array_elements(m.list) as e on true%10$s"                                 \
    "     where m.list is not null"                                                                          \
    "), wanted as ("                                                                                         \
    "    select distinct on (r.%2$s, %5$s) r.*"                                                              \
    "      from entry, lateral jsonb_populate_record(null::public.%4$s,"                                     \
    "               '%7$s'::jsonb || j || jsonb_build_object('%2$s', owner_id%11$s)) as r"                   \
    "     where j is not null and target_id is not null"                                                     \
    "), ended as ("                                                                                          \
    "    delete from public.%4$s l using (select distinct owner_id from entry) as o"                         \
    "     where l.%2$s = o.owner_id"                                                                         \
    "       and not exists (select from wanted w where w.%2$s = l.%2$s and (%5$s) = (%13$s))"                \
    "), stored as ("                                                                                         \
    "    insert into public.%4$s (%2$s, %5$s, source_vcenter_id, %6$s, last_sync)"                           \
    "    select %2$s, %5$s, $2::uuid, %6$s, now() from wanted"                                               \
    "        on conflict (%2$s, %5$s) do update"                                                             \
    "       set (source_vcenter_id, %6$s, last_sync) = row(excluded.source_vcenter_id, %8$s, "               \
    "excluded.last_sync)"                                                                                    \
    ")"                                                                                                      \
    " %12$s"

/* "a, b" -> "prefix.a, prefix.b" */
static str_t qualify(pool_t *pool, const char *prefix, const char *columns)
{
    buf_t out;
    str_t rest = str_from_c(columns);
    buf_init(&out, pool, 128);
    while (!str_is_null(rest)) {
        str_t column = str_trim(str_split(&rest, ','));
        buf_printf(&out, "%s%s.%.*s", out.len > 0 ? ", " : "", prefix, STR_ARG(column));
    }
    return buf_str(&out);
}

static str_t statement(pool_t *pool, const link_t *link)
{
    str_t join = STR(""), column = STR(""), missing = STR("select null, 0 where false");
    if (link->target != NULL) {
        join = pool_printf(pool,
                           " left join public.%s t on t.vcenter_id = e.value ->> '%s'"
                           " and t.source_vcenter_id is not distinct from $2::uuid",
                           link->target_table, link->names);
        column = pool_printf(pool, ", '%s', target_id", link->target);
        missing = pool_printf(pool,
                              "select coalesce(j ->> '%s', '(none)'), count(*) from entry"
                              " where j is not null and target_id is null group by 1 order by 1",
                              link->names);
    }
    return pool_printf(pool, LINK_SQL, link->owner_table, link->owner, link->member, link->table, link->key,
                       link->columns, link->absent, qualify(pool, "excluded", link->columns).base,
                       link->target != NULL ? "t.id" : "o.id", join.base, column.base, missing.base,
                       qualify(pool, "l", link->key).base);
}

/* --- links that lead nowhere --- */

static void note_missing(void *arg, const db_rows_t *rows)
{
    json_t *missing = arg;
    int64_t count = 0;
    for (size_t i = 0; i < rows->row_count; i++) {
        const char *id = db_value(rows, i, 0).base;
        if (str_to_int64(db_value(rows, i, 1), &count))
            json_object_set_new(missing, id,
                                json_integer(json_integer_value(json_object_get(missing, id)) + count));
    }
}

/* Each object once, however many links lead to it. */
static void name_missing(const vcenter_store_t *store, const link_t *link, json_t *missing)
{
    const char *id;
    json_t *count;
    pool_t *pool = store->task->pool;
    json_object_foreach(missing, id, count)
    {
        sync_summary_fail(store->task, store->summary, pool_printf(pool, "%s, %s", link->list, link->member),
                          pool_printf(pool, "%s %s is not stored, %lld left out", link->names, id,
                                      (long long)json_integer_value(count)));
    }
}

static err_t *take_link(const vcenter_store_t *store, const link_t *link, const json_t *items)
{
    json_t *missing = json_object();
    vcenter_items_t what = {.list = link->list,
                            .name = "name",
                            .member = link->member,
                            .sql = statement(store->task->pool, link),
                            .on_rows = note_missing,
                            .arg = missing};
    err_t *err = vcenter_items_take(store, &what, items);
    name_missing(store, link, missing);
    json_decref(missing);
    return err;
}

static bool is_of(const link_t *link, const char *list)
{
    return strcmp(link->list, list) == 0;
}

err_t *vcenter_links_take(const vcenter_store_t *store, const char *list, const json_t *items)
{
    err_t *err = NULL;
    for (size_t i = 0; i < sizeof(LINKS) / sizeof(LINKS[0]) && err == NULL; i++) {
        if (is_of(&LINKS[i], list))
            err = take_link(store, &LINKS[i], items);
    }
    return err;
}

err_t *vcenter_links_end(const vcenter_store_t *store, const char *list, str_t present)
{
    err_t *err = NULL;
    for (size_t i = 0; i < sizeof(LINKS) / sizeof(LINKS[0]) && err == NULL; i++) {
        const link_t *link = &LINKS[i];
        if (!is_of(link, list) || link->target == NULL)
            continue;
        str_t sql =
            pool_printf(store->task->pool,
                        "delete from public.%s l using public.%s o"
                        " where l.%s = o.id and o.source_vcenter_id = $2::uuid and not exists"
                        " (select from jsonb_array_elements_text($1::jsonb) as p where p = o.vcenter_id)",
                        link->table, link->owner_table, link->owner);
        err = db_session_query(store->session, sql, DB_PARAMS(present, store->source), NULL);
    }
    return err;
}
