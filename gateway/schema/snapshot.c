#include "schema/snapshot.h"

#include "schema/build_parts.h"

schema_snapshot_t *schema_ref(schema_snapshot_t *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

void schema_unref(schema_snapshot_t *snapshot)
{
    if (snapshot == NULL)
        return;
    if (atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) == 1)
        pool_destroy(snapshot->pool); /* the snapshot lives in its own pool */
}

#define KEY_INLINE_MAX 256

/* Looks "schema\0name" up without allocating for names of usual length. */
static void *lookup(const map_t *map, str_t schema, str_t name)
{
    char inline_key[KEY_INLINE_MAX];
    size_t len = schema.len + 1 + name.len;
    if (len > sizeof(inline_key))
        return NULL; /* PostgreSQL's names end at 63 bytes */
    memcpy(inline_key, schema.base, schema.len);
    inline_key[schema.len] = '\0';
    if (name.len > 0)
        memcpy(inline_key + schema.len + 1, name.base, name.len);
    return map_get(map, str_make(inline_key, len));
}

const schema_table_t *schema_table(const schema_snapshot_t *snapshot, str_t schema, str_t name)
{
    return lookup(snapshot->table_map, schema, name);
}

const schema_overloads_t *schema_overloads(const schema_snapshot_t *snapshot, str_t schema, str_t name)
{
    return lookup(snapshot->overload_map, schema, name);
}

const schema_column_t *schema_column(const schema_table_t *table, str_t name)
{
    if (table->column_map != NULL)
        return map_get(table->column_map, name);
    for (size_t i = 0; i < table->column_count; i++)
        if (str_eq(table->columns[i].name, name))
            return &table->columns[i];
    return NULL;
}

const schema_role_t *schema_role(const schema_snapshot_t *snapshot, str_t role)
{
    return map_get(snapshot->role_map, role);
}

bool schema_may_see(const schema_snapshot_t *snapshot, str_t role, uint32_t oid, bool is_routine)
{
    const schema_sight_t *sight = map_get(snapshot->sight_map, role);
    return sight != NULL && map_get(is_routine ? sight->routines : sight->tables,
                                    str_make((const char *)&oid, sizeof(oid))) == NULL;
}

bool schema_is_exposed(const schema_snapshot_t *snapshot, str_t schema)
{
    for (size_t i = 0; i < snapshot->schema_count; i++)
        if (str_eq(snapshot->schemas[i], schema))
            return true;
    return false;
}

str_t schema_representation(const schema_snapshot_t *snapshot, str_t source, str_t target)
{
    for (size_t i = 0; i < snapshot->representation_count; i++) {
        const schema_representation_t *r = &snapshot->representations[i];
        if (str_eq(r->source, source) && str_eq(r->target, target))
            return r->function;
    }
    return STR_NULL;
}

const schema_media_handler_t *schema_media_handler(const schema_snapshot_t *snapshot,
                                                   const schema_name_t *target, str_t media_type)
{
    for (size_t i = snapshot->handler_count; i-- > 0;) {
        const schema_media_handler_t *h = &snapshot->handlers[i];
        if (!str_eq(h->media_type, media_type))
            continue;
        if (target == NULL ? h->is_any_element
                           : !h->is_any_element && schema_name_cmp(&h->target, target) == 0)
            return h;
    }
    return NULL;
}

const schema_readable_t *schema_readable(const schema_table_t *table, str_t role)
{
    for (size_t i = 0; i < table->readable_count; i++)
        if (str_eq(table->readable[i].role, role))
            return &table->readable[i];
    return NULL;
}
