#include "functions/vcenter_hosts.h"
#include "functions/vcenter_where.h"

/* The list of hosts names no cluster; the list of a cluster's hosts is asked for each. */
#define CLUSTERS_MAX 500

static const char DONE_SQL[] =
    "with row as ("
    "    update public.vcenters set last_sync = now(), last_sync_status = $2, last_sync_error = $3"
    "     where id = $1::uuid)"
    " update public.vcenter_settings set last_sync = now() where $1 is null and $2 = 'success'";

typedef struct {
    peer_t peer;
    json_t *hosts;    /* what vcenter_hosts_take wants, each */
    bool has_details; /* until the service has said that there are none */
} direct_t;

static void free_json(void *arg)
{
    json_decref(arg);
}

static err_t *explain(pool_t *pool, const char *what, const err_t *err)
{
    str_t why = str_eq(err->code, STR("refused")) ? err->message : peer_failure(err);
    return err_make(pool, 500, ERR_FAMILY_UPSTREAM, "", "%s: %.*s", what, STR_ARG(why));
}

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
static void add_details(direct_t *direct, json_t *host, str_t id)
{
    json_t *body = NULL;
    pool_t *pool = direct->peer.task->pool;
    peer_call_t call = {"GET", "VCENTER_HOST",
                        pool_printf(pool, "%.*s/vcenter/host/%.*s", STR_ARG(direct->peer.api), STR_ARG(id)),
                        STR_NULL, false};
    if (!direct->has_details || !is_object_id(id))
        return;
    err_t *err = peer_exchange(&direct->peer, &call, NULL, &body);
    if (err != NULL || !json_is_object(body)) {
        direct->has_details = false;
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

static json_t *find_host(const direct_t *direct, str_t id)
{
    size_t i;
    json_t *host;
    json_array_foreach(direct->hosts, i, host)
    {
        if (str_eq(read_json_str(host, "vcenter_id"), id))
            return host;
    }
    return NULL;
}

static err_t *read_hosts(direct_t *direct)
{
    json_t *list = NULL, *item;
    size_t i;
    str_t path = pool_concat(direct->peer.task->pool, 2, direct->peer.api, STR("/vcenter/host"));
    err_t *err = peer_list(&direct->peer, path, &list);
    if (err != NULL)
        return explain(direct->peer.task->pool, "Failed to fetch hosts", err);
    json_array_foreach(list, i, item)
    {
        json_t *host = json_object();
        str_t state = read_json_str(item, "connection_state"), id = read_json_str(item, "host");
        json_array_append_new(direct->hosts, host);
        set_text(host, "name", read_json_str(item, "name"));
        set_text(host, "vcenter_id", id);
        set_text(host, "cluster", read_json_str(item, "cluster"));
        set_text(host, "serial_number", read_json_str(item, "serial_number"));
        if (state.len > 0)
            json_object_set_new(
                host, "status",
                json_string(str_eq_nocase(state, STR("CONNECTED")) ? "connected" : "disconnected"));
        add_details(direct, host, id);
    }
    return NULL;
}

/* A service that ignores the filter lists every host under every cluster: then nothing is known. */
static err_t *read_cluster(direct_t *direct, const json_t *cluster, size_t cluster_count)
{
    json_t *members = NULL, *member;
    size_t i;
    str_t id = read_json_str(cluster, "cluster"), name = read_json_str(cluster, "name");
    bool is_old = str_eq(direct->peer.api, STR("/rest"));
    if (!is_object_id(id) || name.len == 0)
        return NULL;
    err_t *err =
        peer_list(&direct->peer,
                  pool_printf(direct->peer.task->pool, "%.*s/vcenter/host?%s=%.*s", STR_ARG(direct->peer.api),
                              is_old ? "filter.clusters" : "clusters", STR_ARG(id)),
                  &members);
    if (err != NULL)
        return err;
    if (cluster_count > 1 && json_array_size(members) == json_array_size(direct->hosts))
        return err_make(direct->peer.task->pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                        "The filter is ignored");
    json_array_foreach(members, i, member)
    {
        json_t *host = find_host(direct, read_json_str(member, "host"));
        if (host != NULL)
            set_text(host, "cluster", name);
    }
    return NULL;
}

static err_t *read_clusters(direct_t *direct)
{
    json_t *list = NULL, *cluster;
    size_t i;
    str_t path = pool_concat(direct->peer.task->pool, 2, direct->peer.api, STR("/vcenter/cluster"));
    err_t *err = peer_list(&direct->peer, path, &list), *ignored = NULL;
    if (err != NULL)
        return explain(direct->peer.task->pool, "Failed to fetch clusters", err);
    err = read_hosts(direct);
    if (err != NULL)
        return err;
    json_array_foreach(list, i, cluster)
    {
        if (ignored == NULL && i < CLUSTERS_MAX)
            ignored = read_cluster(direct, cluster, json_array_size(list));
    }
    return NULL;
}

static err_t *ask(direct_t *direct)
{
    err_t *err = peer_init(&direct->peer);
    if (err == NULL)
        err = peer_open_vcenter(&direct->peer, "VCENTER_AUTH");
    if (err != NULL)
        err = explain(direct->peer.task->pool, "vCenter authentication failed", err);
    else
        err = read_clusters(direct);
    peer_close(&direct->peer);
    return err;
}

static err_t *store(direct_t *direct, db_session_t *session, sync_summary_t *summary)
{
    size_t i;
    json_t *host;
    api_task_t *task = direct->peer.task;
    sync_request_t request = {.user = task->identity.sub, .source = direct->peer.where.id};
    json_array_foreach(direct->hosts, i, host)
    {
        err_t *err = vcenter_hosts_take(task, session, &request, host, summary);
        if (err != NULL)
            return err;
    }
    return NULL;
}

/* One vCenter: asked without a transaction, stored in one. `*failure` says why it could not be asked. */
static err_t *sync_one(api_task_t *task, const peer_where_t *where, sync_summary_t *summary, err_t **failure)
{
    db_session_t *session = NULL;
    direct_t direct = {.hosts = json_array(), .has_details = true};
    direct.peer = (peer_t){
        .task = task, .where = *where, .operation_type = "vcenter_api", .source = "sync_vcenter_direct"};
    pool_on_dispose(task->pool, free_json, direct.hosts);
    *failure = ask(&direct);
    if (*failure != NULL)
        sync_summary_fail(task, summary, where->name, (*failure)->message);
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL && *failure == NULL)
        err = store(&direct, session, summary);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(DONE_SQL),
                               DB_PARAMS(where->id, *failure == NULL ? STR("success") : STR("failed"),
                                         *failure != NULL ? (*failure)->message : STR_NULL),
                               NULL);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static err_t *audit(api_task_t *task, const sync_summary_t *summary)
{
    db_session_t *session = NULL;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = fn_audit(
            session, task->identity.sub, "vcenter_direct_sync",
            pool_printf(task->pool,
                        "{\"new_hosts\":%lld,\"updated_hosts\":%lld,\"linked_servers\":%lld,\"errors\":%lld}",
                        (long long)summary->added, (long long)summary->updated, (long long)summary->linked,
                        (long long)summary->failed),
            task->client_addr);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

void fn_sync_vcenter_direct(api_task_t *task)
{
    peer_where_t *all = NULL;
    size_t count = 0, bad = 0;
    sync_summary_t summary;
    err_t *failure = NULL, *first = NULL;
    if (!fn_caller_has_role(task, "admin")) {
        fn_fail_success(task, 403, STR("Insufficient permissions - admin role required"));
        return;
    }
    sync_summary_init(task, &summary, SYNC_TOTAL_HIDDEN);
    err_t *err = vcenter_where(task, VCENTER_SYNCED, &all, &count);
    for (size_t i = 0; i < count && err == NULL; i++) {
        err = sync_one(task, &all[i], &summary, &failure);
        bad += failure != NULL;
        first = first != NULL ? first : failure;
    }
    if (err == NULL)
        err = audit(task, &summary);
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else if (count == 0)
        fn_fail_success(task, 500, STR("vCenter settings not configured"));
    else if (bad == count)
        fn_fail_success(task, 500, first->message);
    else
        sync_summary_reply(task, &summary, true);
}
