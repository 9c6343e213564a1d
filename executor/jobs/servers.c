#include "executor/jobs/servers.h"

#include "base/read_json.h"

enum { SERVERS_PER_QUERY = 100 };

typedef struct {
    job_t *job;
    const servers_plan_t *plan;
    json_t *servers; /* rows; {"id":..,"is_missing":true} for those that are gone */
    json_t *results;
    pthread_mutex_t mutex; /* next, results and counts */
    size_t next, good, bad;
} servers_run_t;

str_t server_label(const json_t *server)
{
    str_t name = read_json_str(server, "hostname");
    return name.len > 0 ? name : read_json_str(server, "ip_address");
}

static bool is_listed(const json_t *servers, const char *id)
{
    const json_t *row;
    size_t index;
    json_array_foreach(servers, index, row)
    {
        if (id != NULL && str_eq_nocase(read_json_str(row, "id"), str_from_c(id)))
            return true;
    }
    return false;
}

static err_t *load_by_id(job_t *job, json_t *ids, json_t *into)
{
    for (size_t from = 0; from < json_array_size(ids); from += SERVERS_PER_QUERY) {
        pool_t *pool = job->pool;
        str_t list = STR("");
        for (size_t i = from; i < json_array_size(ids) && i < from + SERVERS_PER_QUERY; i++) {
            str_t id = str_from_c(json_string_value(json_array_get(ids, i)));
            if (str_is_uuid(id))
                list = pool_concat(pool, 3, list, list.len > 0 ? STR(",") : STR(""), id);
        }
        json_t *rows = NULL;
        err_t *err =
            list.len > 0
                ? gateway_select(job_client(job), pool,
                                 pool_concat(pool, 3, STR("servers?select=*&id=in.("), list, STR(")")), &rows)
                : NULL;
        if (err != NULL)
            return err;
        for (size_t i = from; i < json_array_size(ids) && i < from + SERVERS_PER_QUERY; i++) {
            const char *id = json_string_value(json_array_get(ids, i));
            json_t *row, *found = NULL;
            if (is_listed(into, id)) /* named twice: done once */
                continue;
            size_t index;
            json_array_foreach(rows, index, row)
            {
                if (id != NULL && str_eq_nocase(read_json_str(row, "id"), str_from_c(id)))
                    found = row;
            }
            json_array_append_new(
                into, found != NULL ? json_incref(found)
                                    : json_pack("{s:s,s:b}", "id", id != NULL ? id : "", "is_missing", 1));
        }
    }
    return NULL;
}

static err_t *load_all(job_t *job, json_t *into)
{
    for (;;) {
        json_t *rows = NULL;
        str_t query = pool_printf(job->pool, "servers?select=*&order=id.asc&limit=%d&offset=%zu",
                                  SERVERS_PER_QUERY, json_array_size(into));
        err_t *err = gateway_select(job_client(job), job->pool, query, &rows);
        if (err != NULL)
            return err;
        json_array_extend(into, rows);
        if (json_array_size(rows) < SERVERS_PER_QUERY)
            return NULL;
    }
}

static err_t *load(servers_run_t *run)
{
    job_t *job = run->job;
    json_t *ids = read_json_array(job->scope, "server_ids");
    str_t type = read_json_str(job->scope, "type");
    if (json_array_size(ids) > 0)
        return load_by_id(job, ids, run->servers);
    bool is_open = type.len == 0 || str_eq(type, STR("all"));
    if (run->plan->may_mean_all && is_open)
        return load_all(job, run->servers);
    return err_make(job->pool, 0, ERR_FAMILY_REQUEST, "scope",
                    "The job names no servers (target_scope.server_ids)");
}

/* Caller holds the mutex, or is alone. */
static void publish(servers_run_t *run)
{
    job_set(run->job, "success_count", json_integer((json_int_t)run->good));
    job_set(run->job, "failed_count", json_integer((json_int_t)run->bad));
    job_set(run->job, "results", json_deep_copy(run->results));
    job_progress(run->job, run->good + run->bad, json_array_size(run->servers));
}

static void add_result(servers_run_t *run, json_t *result)
{
    bool is_good = read_json_bool(result, "success", false);
    pthread_mutex_lock(&run->mutex);
    run->good += is_good;
    run->bad += !is_good;
    json_array_append_new(run->results, result);
    publish(run);
    pthread_mutex_unlock(&run->mutex);
}

static json_t *new_result(const json_t *server)
{
    str_t label = server_label(server), id = read_json_str(server, "id"),
          address = read_json_str(server, "ip_address");
    return json_pack("{s:s%,s:s%,s:s%}", "server", label.base != NULL ? label.base : "", label.len,
                     "server_id", id.base != NULL ? id.base : "", id.len, "ip_address",
                     address.base != NULL ? address.base : "", address.len);
}

static void work_on(servers_run_t *run, pool_t *pool, const json_t *server, str_t step)
{
    job_t *job = run->job;
    str_t label = server_label(server), note = STR_NULL, task_id = STR_NULL;
    json_t *result = new_result(server);
    err_t *err;
    if (read_json_bool(server, "is_missing", false)) {
        err = err_make(pool, 0, ERR_FAMILY_REQUEST, "gone", "Server not found");
        label = read_json_str(server, "id");
    } else {
        task_id = job_task_id(job, read_json_str(server, "id"));
        job_task_write(job, task_id, "running", 0,
                       pool_printf(pool, "%s %.*s", run->plan->verb, STR_ARG(label)));
        job_step(job, "%s %.*s", run->plan->verb, STR_ARG(label));
        err = run->plan->work(job, pool, server, task_id, result, &note);
    }
    if (job->is_halted && err != NULL) { /* stopped, not failed */
        json_decref(result);
        return;
    }
    json_object_set_new(result, "success", json_boolean(err == NULL));
    if (err != NULL) {
        json_object_set_new(result, "error", json_stringn(err->message.base, err->message.len));
        json_object_set_new(result, "step", json_string(run->plan->verb));
        job_log(job, "ERROR", "%.*s: %.*s", STR_ARG(label), STR_ARG(err->message));
        note = err->message;
    } else {
        job_log(job, "INFO", "%.*s: %.*s", STR_ARG(label), STR_ARG(note.len > 0 ? note : STR("done")));
    }
    if (task_id.len > 0)
        job_task_write(job, task_id, err == NULL ? "completed" : "failed", 100, note);
    job_journal_done(job, step, json_deep_copy(result));
    add_result(run, result);
}

static void decide(servers_run_t *run)
{
    job_t *job = run->job;
    size_t total = json_array_size(run->servers);
    const json_t *result;
    size_t index;
    if (job_must_stop(job))
        return;
    if (run->bad > 0 && (run->good == 0 || !run->plan->is_partial_good)) {
        json_array_foreach(run->results, index, result)
        {
            if (read_json_bool(result, "success", false))
                continue;
            str_t server = read_json_str(result, "server"), error = read_json_str(result, "error");
            if (server.len == 0)
                server = read_json_str(result, "server_id");
            job_fail(job, "%zu of %zu servers failed; %s %.*s: %.*s", run->bad, total, run->plan->verb,
                     STR_ARG(server), STR_ARG(error));
        }
    }
    job_progress(job, 1, 1);
    job_set(job, "current_step", json_sprintf("Finished: %zu of %zu servers succeeded", run->good, total));
}

/* The next server, or NULL when there is none or no new one is to be begun. */
static const json_t *take_next(servers_run_t *run)
{
    pthread_mutex_lock(&run->mutex);
    const json_t *server = NULL;
    if (!job_must_stop(run->job) && run->next < json_array_size(run->servers)) {
        job_set(run->job, "current_server_index", json_integer((json_int_t)run->next));
        server = json_array_get(run->servers, run->next++);
    }
    pthread_mutex_unlock(&run->mutex);
    return server;
}

static void work_through(void *arg)
{
    servers_run_t *run = arg;
    const json_t *server, *before;
    while ((server = take_next(run)) != NULL) {
        pool_t *pool = pool_create();
        str_t step = pool_printf(pool, "server:%.*s", STR_ARG(read_json_str(server, "id")));
        const char *state = job_journal_state(run->job, step, &before);
        if (state != NULL && strcmp(state, "done") == 0 && json_is_object(before))
            add_result(run, json_deep_copy(before));
        else
            work_on(run, pool, server, step);
        pool_destroy(pool);
    }
}

void servers_run(job_t *job, const servers_plan_t *plan)
{
    servers_run_t run = {.job = job, .plan = plan, .servers = json_array(), .results = json_array()};
    pthread_mutex_init(&run.mutex, NULL);
    job_step(job, "Loading servers");
    err_t *err = load(&run);
    if (err != NULL) {
        job_fail(job, "Loading servers: %.*s", STR_ARG(err->message));
    } else {
        int count = (int)json_array_size(run.servers), wanted = job->settings.idrac_concurrent;
        job_set(job, "total_servers", json_integer(count));
        publish(&run);
        if (!plan->is_parallel || count < 2 ||
            !job_run_threads(job, wanted < count ? wanted : count, work_through, &run))
            work_through(&run);
        decide(&run);
    }
    pthread_mutex_destroy(&run.mutex);
    json_decref(run.servers);
    json_decref(run.results);
}
