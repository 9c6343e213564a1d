#include "functions/vcenter_ask.h"

/* The list of hosts names no cluster; the list of a cluster's hosts is asked for each. */
#define CLUSTERS_MAX 500

typedef struct {
    peer_t *peer;
    json_t *hosts;    /* what vcenter_hosts_take wants, each */
    bool has_details; /* until the service has said that there are none */
} rest_t;

static void set_text(json_t *object, const char *key, str_t text)
{
    if (text.len > 0)
        json_object_set_new(object, key, json_stringn(text.base, text.len));
}

/* Ids become parts of paths. */
static bool is_object_id(str_t id)
{
    return peer_is_host(id) && str_find_char(id, '[', 0) == SIZE_MAX;
}

/* vSphere 7 and later have no such resource; others tell more than the list. */
static void add_details(rest_t *rest, json_t *host, str_t id)
{
    json_t *body = NULL;
    pool_t *pool = rest->peer->task->pool;
    peer_call_t call = {"GET", "VCENTER_HOST",
                        pool_printf(pool, "%.*s/vcenter/host/%.*s", STR_ARG(rest->peer->api), STR_ARG(id)),
                        STR_NULL, false};
    if (!rest->has_details || !is_object_id(id))
        return;
    err_t *err = peer_exchange(rest->peer, &call, NULL, &body);
    if (err != NULL || !json_is_object(body)) {
        rest->has_details = false;
        return;
    }
    const json_t *value = read_json_object(body, "value");
    value = value != NULL ? value : body;
    const json_t *hardware = read_json_object(value, "hardware"),
                 *product = read_json_object(value, "product");
    set_text(host, "cluster", read_json_str(value, "cluster"));
    set_text(host, "serial_number", read_json_str(value, "serial_number"));
    set_text(host, "esxi_version", read_json_str(value, "version"));
    if (hardware != NULL)
        set_text(host, "serial_number", read_json_str(hardware, "serial_number"));
    if (product != NULL)
        set_text(host, "esxi_version", read_json_str(product, "version"));
    const json_t *maintenance = json_object_get(value, "maintenance_mode");
    if (json_is_boolean(maintenance))
        json_object_set_new(host, "maintenance_mode", json_boolean(json_is_true(maintenance)));
}

static json_t *find_host(const rest_t *rest, str_t id)
{
    size_t i;
    json_t *host;
    json_array_foreach(rest->hosts, i, host)
    {
        if (str_eq(read_json_str(host, "vcenter_id"), id))
            return host;
    }
    return NULL;
}

static err_t *read_hosts(rest_t *rest)
{
    json_t *list = NULL, *item;
    size_t i;
    str_t path = pool_concat(rest->peer->task->pool, 2, rest->peer->api, STR("/vcenter/host"));
    err_t *err = peer_list(rest->peer, path, &list);
    if (err != NULL)
        return vcenter_explain(rest->peer->task->pool, "Failed to fetch hosts", err);
    json_array_foreach(list, i, item)
    {
        json_t *host = json_object();
        str_t state = read_json_str(item, "connection_state"), id = read_json_str(item, "host");
        json_array_append_new(rest->hosts, host);
        set_text(host, "name", read_json_str(item, "name"));
        set_text(host, "vcenter_id", id);
        set_text(host, "cluster", read_json_str(item, "cluster"));
        set_text(host, "serial_number", read_json_str(item, "serial_number"));
        if (state.len > 0)
            json_object_set_new(
                host, "status",
                json_string(str_eq_nocase(state, STR("CONNECTED")) ? "connected" : "disconnected"));
        add_details(rest, host, id);
    }
    return NULL;
}

/* A service that ignores the filter lists every host under every cluster: then nothing is known. */
static err_t *read_cluster(rest_t *rest, const json_t *cluster, size_t cluster_count)
{
    json_t *members = NULL, *member;
    size_t i;
    str_t id = read_json_str(cluster, "cluster"), name = read_json_str(cluster, "name");
    bool is_old = str_eq(rest->peer->api, STR("/rest"));
    if (!is_object_id(id) || name.len == 0)
        return NULL;
    err_t *err =
        peer_list(rest->peer,
                  pool_printf(rest->peer->task->pool, "%.*s/vcenter/host?%s=%.*s", STR_ARG(rest->peer->api),
                              is_old ? "filter.clusters" : "clusters", STR_ARG(id)),
                  &members);
    if (err != NULL)
        return err;
    if (cluster_count > 1 && json_array_size(members) == json_array_size(rest->hosts))
        return err_make(rest->peer->task->pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                        "The filter is ignored");
    json_array_foreach(members, i, member)
    {
        json_t *host = find_host(rest, read_json_str(member, "host"));
        if (host != NULL)
            set_text(host, "cluster", name);
    }
    return NULL;
}

static err_t *read_clusters(rest_t *rest)
{
    json_t *list = NULL, *cluster;
    size_t i;
    str_t path = pool_concat(rest->peer->task->pool, 2, rest->peer->api, STR("/vcenter/cluster"));
    err_t *err = peer_list(rest->peer, path, &list), *ignored = NULL;
    if (err != NULL)
        return vcenter_explain(rest->peer->task->pool, "Failed to fetch clusters", err);
    err = read_hosts(rest);
    if (err != NULL)
        return err;
    json_array_foreach(list, i, cluster)
    {
        if (ignored == NULL && i < CLUSTERS_MAX)
            ignored = read_cluster(rest, cluster, json_array_size(list));
    }
    return NULL;
}

err_t *vcenter_rest_hosts(peer_t *peer, json_t *hosts)
{
    rest_t rest = {.peer = peer, .hosts = hosts, .has_details = true};
    return read_clusters(&rest);
}
