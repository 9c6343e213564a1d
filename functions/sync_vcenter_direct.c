#include "functions/vcenter_ask.h"
#include "functions/vcenter_store.h"
#include "functions/vcenter_where.h"

static const char DONE_SQL[] =
    "with row as ("
    "    update public.vcenters set last_sync = now(), last_sync_status = $2, last_sync_error = $3"
    "     where id = $1::uuid)"
    " update public.vcenter_settings set last_sync = now() where $1 is null and $2 = 'success'";

/* One vCenter: asked without a transaction, stored in one. `*failure` says why it could not be asked. */
static err_t *sync_one(api_task_t *task, const peer_where_t *where, sync_summary_t *summary, err_t **failure)
{
    json_t *inventory = NULL;
    db_session_t *session = NULL;
    sync_request_t request = {.user = task->identity.sub, .source = where->id};
    peer_t peer = {
        .task = task, .where = *where, .operation_type = "vcenter_api", .source = "sync_vcenter_direct"};
    *failure = peer_init(&peer);
    if (*failure == NULL)
        *failure = vcenter_read(&peer, &inventory);
    peer_close(&peer);
    if (*failure != NULL)
        sync_summary_fail(task, summary, where->name, (*failure)->message);
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL && *failure == NULL)
        err = vcenter_store(task, session, &request, inventory, true, summary);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(DONE_SQL),
                               DB_PARAMS(where->id, *failure == NULL ? STR("success") : STR("failed"),
                                         *failure != NULL ? (*failure)->message : STR_NULL),
                               NULL);
    return fn_end(session, err);
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
