/* Inside of the driver: from managed objects to the rows that a sync stores. */
#ifndef VSPHERE_INVENTORY_H
#define VSPHERE_INVENTORY_H

#include "drivers/vsphere/soap.h"

#include "base/map.h"

/* What the parts share while an inventory is read. */
typedef struct {
    vsphere_t *vsphere;
    pool_t *pool;
    json_t *out;    /* the inventory */
    map_t *names;   /* object id -> name */
    map_t *parents; /* object id -> id of its parent (folders, compute resources) */
    map_t *rows;    /* object id -> json_t of its row, borrowed from `out` */
    map_t *fields;  /* number of a custom field -> its name */
    map_t *foreign; /* id of a network in the system that manages it -> object id */
    bool has_fields;
} inventory_t;

/* Members are left out where the service says nothing. */
void put_text(json_t *row, const char *key, str_t text);
void put_int(json_t *row, const char *key, str_t text);
void put_bool(json_t *row, const char *key, str_t text);
void add_int(json_t *row, const char *key, int64_t more);

/* A new row of a list, known by the object's id. */
json_t *inventory_row(inventory_t *inventory, const char *list, const object_t *object);
json_t *inventory_find(const inventory_t *inventory, str_t id);
str_t inventory_name(const inventory_t *inventory, str_t id);

/* In this order: each uses what the former left. */
err_t *inventory_read_clusters(inventory_t *inventory) MUST_CHECK;
err_t *inventory_read_hosts(inventory_t *inventory) MUST_CHECK;
err_t *inventory_read_datastores(inventory_t *inventory) MUST_CHECK;
err_t *inventory_read_networks(inventory_t *inventory) MUST_CHECK;
err_t *inventory_read_machines(inventory_t *inventory) MUST_CHECK;
err_t *inventory_read_alarms(inventory_t *inventory) MUST_CHECK;

#endif
