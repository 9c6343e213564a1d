#include "executor/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/read_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum {
    FLUSH_US = 300000,
    COMMANDS_MAX = 20,
    COMMANDS_BYTES = 1 << 20,
    FINISH_TRIES = 60,
    FINISH_PAUSE_S = 5
};

static const json_t *object_or_empty(pool_t *pool, const json_t *row, const char *key)
{
    const json_t *value = read_json_object(row, key);
    if (value != NULL)
        return value;
    json_t *empty = json_object();
    pool_on_dispose(pool, (void (*)(void *))json_decref, empty);
    return empty;
}

job_t *job_create(executor_t *executor, pool_t *pool, const json_t *claimed)
{
    job_t *job = POOL_NEW(pool, job_t);
    job->executor = executor;
    job->pool = pool;
    job->client = gateway_client_create(&executor->gateway);
    job->row = read_json_object(claimed, "job");
    job->id = read_json_str(job->row, "id");
    job->type = read_json_str(job->row, "job_type");
    job->token = read_json_str(claimed, "token");
    job->attempts = (int)read_json_int(claimed, "attempts", 1);
    job->details = object_or_empty(pool, job->row, "details");
    job->scope = object_or_empty(pool, job->row, "target_scope");
    job->journal = object_or_empty(pool, claimed, "journal");
    job->tasks = json_deep_copy(read_json_array(claimed, "tasks"));
    if (job->tasks == NULL)
        job->tasks = json_array();
    pthread_mutex_init(&job->mutex, NULL);
    pthread_key_create(&job->client_key, NULL);
    job->kept = json_object();
    job->patch = json_object();
    job->gone = json_array();
    job->console = json_array();
    job->task_writes = json_array();
    job->commands = json_array();
    job->journal_writes = json_array();
    job->audit = json_array();
    job->outcome = STR("completed");
    return job;
}

job_t *job_create_detached(executor_t *executor, pool_t *pool, str_t user_id)
{
    job_t *job = job_create(executor, pool, NULL);
    job->user_id = user_id;
    job->settings = settings_get(executor->settings, job->client);
    return job;
}

void job_destroy(job_t *job)
{
    json_t *owned[] = {job->kept,     job->patch,          job->gone,  job->console, job->task_writes,
                       job->commands, job->journal_writes, job->tasks, job->audit};
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
        json_decref(owned[i]);
    gateway_client_destroy(job->client);
    pthread_key_delete(job->client_key);
    pthread_mutex_destroy(&job->mutex);
    pool_destroy(job->pool);
}

/* --- threads
 * ------------------------------------------------------------------------------------------------------ */

enum { THREADS_MAX = 32 };

typedef struct {
    job_t *job;
    void (*work)(void *arg);
    void *arg;
} job_thread_t;

gateway_client_t *job_client(const job_t *job)
{
    gateway_client_t *own = pthread_getspecific(job->client_key);
    return own != NULL ? own : job->client;
}

static void *thread_main(void *arg)
{
    const job_thread_t *thread = arg;
    gateway_client_t *client = gateway_client_create(&thread->job->executor->gateway);
    pthread_setspecific(thread->job->client_key, client);
    thread->work(thread->arg);
    pthread_setspecific(thread->job->client_key, NULL);
    gateway_client_destroy(client);
    return NULL;
}

bool job_run_threads(job_t *job, int threads, void (*work)(void *arg), void *arg)
{
    pthread_t ids[THREADS_MAX];
    job_thread_t shared = {job, work, arg};
    int started = 0;
    while (started < threads && started < THREADS_MAX &&
           pthread_create(&ids[started], NULL, thread_main, &shared) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    return started > 0;
}

/* --- saying
 * ------------------------------------------------------------------------------------------------------- */

static void flush_if_old(job_t *job)
{
    pthread_mutex_lock(&job->mutex);
    bool is_due = clock_mono_us() - job->flushed_us >= FLUSH_US;
    pthread_mutex_unlock(&job->mutex);
    if (is_due)
        job_flush_quietly(job);
}

static json_t *text_of(const char *format, va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof(text), format, args);
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(text that is not UTF-8)");
}

void job_log(job_t *job, const char *level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    json_t *text = text_of(format, args);
    va_end(args);
    time_t now = (time_t)clock_unix();
    struct tm utc;
    gmtime_r(&now, &utc);
    pthread_mutex_lock(&job->mutex);
    json_array_append_new(job->console, json_sprintf("[%02d:%02d:%02d] [%s] %s", utc.tm_hour, utc.tm_min,
                                                     utc.tm_sec, level, json_string_value(text)));
    pthread_mutex_unlock(&job->mutex);
    json_decref(text);
    flush_if_old(job);
}

void job_set(job_t *job, const char *key, json_t *value)
{
    pthread_mutex_lock(&job->mutex);
    json_object_set_new(job->patch, key, value);
    pthread_mutex_unlock(&job->mutex);
}

/* Caller holds the mutex. The value of a former run, when there was one. */
static json_t *kept_value(job_t *job, const char *key)
{
    json_t *value = json_object_get(job->kept, key);
    if (value == NULL && job->attempts > 1 && json_object_get(job->details, key) != NULL) {
        value = json_deep_copy(json_object_get(job->details, key));
        json_object_set_new(job->kept, key, value);
    }
    return value;
}

void job_append(job_t *job, const char *key, json_t *value)
{
    pthread_mutex_lock(&job->mutex);
    json_t *list = kept_value(job, key);
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(job->kept, key, list);
    }
    json_array_append_new(list, value);
    json_object_set_new(job->patch, key, json_deep_copy(list));
    pthread_mutex_unlock(&job->mutex);
}

void job_add(job_t *job, const char *key, int64_t more)
{
    pthread_mutex_lock(&job->mutex);
    int64_t sum = json_integer_value(kept_value(job, key)) + more;
    json_object_set_new(job->kept, key, json_integer(sum));
    json_object_set_new(job->patch, key, json_integer(sum));
    pthread_mutex_unlock(&job->mutex);
}

void job_step(job_t *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    json_t *text = text_of(format, args);
    va_end(args);
    job_set(job, "current_step", text);
    flush_if_old(job);
}

void job_remove(job_t *job, const char *key)
{
    pthread_mutex_lock(&job->mutex);
    json_array_append_new(job->gone, json_string(key));
    pthread_mutex_unlock(&job->mutex);
}

void job_progress(job_t *job, size_t done, size_t total)
{
    job_set(job, "progress_pct", json_integer(total > 0 ? (json_int_t)(done * 100 / total) : 0));
}

void job_fail(job_t *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    json_t *text = text_of(format, args);
    va_end(args);
    pthread_mutex_lock(&job->mutex);
    bool is_first = job->error.len == 0;
    if (is_first) {
        job->outcome = STR("failed");
        job->error = pool_str(job->pool, str_from_c(json_string_value(text)));
    }
    pthread_mutex_unlock(&job->mutex);
    if (is_first) {
        job_log(job, "ERROR", "%s", json_string_value(text));
        job_set(job, "error", json_incref(text));
    }
    json_decref(text);
}

/* --- tasks, commands, journal
 * ------------------------------------------------------------------------------------- */

/* Caller holds the mutex. */
static str_t find_task(const job_t *job, str_t server_id)
{
    const json_t *task;
    size_t index;
    json_array_foreach(job->tasks, index, task)
    {
        if (server_id.len > 0 && str_eq(read_json_str(task, "server_id"), server_id))
            return pool_str(job->pool, read_json_str(task, "id"));
    }
    return STR_NULL;
}

str_t job_task_id(job_t *job, str_t server_id)
{
    pthread_mutex_lock(&job->mutex);
    str_t id = find_task(job, server_id);
    if (id.len == 0) {
        id = rand_uuid(job->pool);
        json_t *row = json_pack("{s:s%}", "task_id", id.base, id.len),
               *task = json_pack("{s:s%}", "id", id.base, id.len);
        if (server_id.len > 0) {
            json_object_set_new(row, "server_id", json_stringn(server_id.base, server_id.len));
            json_object_set_new(task, "server_id", json_stringn(server_id.base, server_id.len));
        }
        json_array_append_new(job->tasks, task);
        json_array_append_new(job->task_writes, row);
    }
    pthread_mutex_unlock(&job->mutex);
    return id;
}

void job_task_write(job_t *job, str_t task_id, const char *status, int progress, str_t line)
{
    json_t *row = json_pack("{s:s%}", "task_id", task_id.base, task_id.len);
    if (status != NULL)
        json_object_set_new(row, "status", json_string(status));
    else
        json_object_set_new(row, "status", json_string("running"));
    if (progress >= 0)
        json_object_set_new(row, "progress", json_integer(progress));
    if (line.len > 0) {
        time_t now = (time_t)clock_unix();
        struct tm utc;
        gmtime_r(&now, &utc);
        json_object_set_new(row, "log",
                            json_sprintf("[%02d:%02d:%02d] %.*s", utc.tm_hour, utc.tm_min, utc.tm_sec,
                                         STR_ARG(str_slice(line, 0, 1000))));
    }
    pthread_mutex_lock(&job->mutex);
    json_array_append_new(job->task_writes, row);
    pthread_mutex_unlock(&job->mutex);
    flush_if_old(job);
}

void job_add_command(job_t *job, json_t *row)
{
    pthread_mutex_lock(&job->mutex);
    size_t size = json_dumpb(row, NULL, 0, JSON_COMPACT);
    json_array_append_new(job->commands, row);
    job->command_bytes += size;
    bool is_full = json_array_size(job->commands) >= COMMANDS_MAX || job->command_bytes >= COMMANDS_BYTES;
    pthread_mutex_unlock(&job->mutex);
    if (is_full)
        job_flush_quietly(job);
}

static void add_journal(job_t *job, str_t step, const char *state, json_t *detail)
{
    pthread_mutex_lock(&job->mutex);
    json_array_append_new(job->journal_writes,
                          json_pack("{s:s%,s:s,s:o}", "step", step.base, step.len, "state", state, "detail",
                                    detail != NULL ? detail : json_null()));
    pthread_mutex_unlock(&job->mutex);
}

err_t *job_journal_start(job_t *job, str_t step, json_t *detail)
{
    add_journal(job, step, "started", detail);
    return job_flush(job);
}

void job_journal_note(job_t *job, str_t step, json_t *detail)
{
    add_journal(job, step, "started", detail);
}

void job_audit(job_t *job, const char *action, json_t *details)
{
    pthread_mutex_lock(&job->mutex);
    json_array_append_new(job->audit, json_pack("{s:s,s:o}", "action", action, "details", details));
    pthread_mutex_unlock(&job->mutex);
}

void job_journal_done(job_t *job, str_t step, json_t *detail)
{
    add_journal(job, step, "done", detail);
}

const char *job_journal_state(const job_t *job, str_t step, const json_t **detail)
{
    char key[128];
    if (step.len >= sizeof(key))
        return NULL;
    memcpy(key, step.base, step.len);
    key[step.len] = '\0';
    const json_t *entry = read_json_object(job->journal, key);
    if (detail != NULL)
        *detail = entry != NULL ? json_object_get(entry, "detail") : NULL;
    return entry != NULL ? json_string_value(json_object_get(entry, "state")) : NULL;
}

/* --- sending
 * ------------------------------------------------------------------------------------------------------ */

void job_note_lost(job_t *job)
{
    job->is_lost = job->is_halted = true;
}

void job_note_state(job_t *job, const json_t *state)
{
    str_t status = read_json_str(state, "status");
    if (status.len > 0 && !str_eq(status, STR("running")))
        job->is_cancelled = job->is_halted = true;
    if (read_json_bool(state, "graceful_cancel", false))
        job->is_graceful = true;
}

static void move_into(json_t *body, const char *key, json_t **gathered)
{
    bool is_empty =
        json_is_object(*gathered) ? json_object_size(*gathered) == 0 : json_array_size(*gathered) == 0;
    if (is_empty)
        return;
    json_object_set_new(body, key, *gathered);
    *gathered = json_is_object(*gathered) ? json_object() : json_array();
}

/* Caller holds the mutex. */
static json_t *take_body(job_t *job)
{
    json_t *body = json_object();
    if (job->token.len > 0)
        json_object_set_new(body, "token", json_stringn(job->token.base, job->token.len));
    move_into(body, "details", &job->patch);
    move_into(body, "remove", &job->gone);
    move_into(body, "console", &job->console);
    move_into(body, "tasks", &job->task_writes);
    move_into(body, "commands", &job->commands);
    move_into(body, "journal", &job->journal_writes);
    move_into(body, "audit", &job->audit);
    job->command_bytes = 0;
    return body;
}

static void put_back_list(json_t **gathered, json_t *sent)
{
    if (sent == NULL)
        return;
    json_t *both = json_copy(sent);
    json_array_extend(both, *gathered);
    json_decref(*gathered);
    *gathered = both;
}

static void put_back(job_t *job, const json_t *body)
{
    json_t *details = json_object_get(body, "details");
    if (details != NULL)
        json_object_update_missing(job->patch, details);
    put_back_list(&job->gone, json_object_get(body, "remove"));
    put_back_list(&job->console, json_object_get(body, "console"));
    put_back_list(&job->task_writes, json_object_get(body, "tasks"));
    put_back_list(&job->commands, json_object_get(body, "commands"));
    put_back_list(&job->journal_writes, json_object_get(body, "journal"));
    put_back_list(&job->audit, json_object_get(body, "audit"));
}

/* What is refused for good (too large, invalid): the activity rows and console go first, the truth about the
 * job last. */
static void drop_ballast(json_t *body)
{
    json_object_del(body, "commands");
    json_t *details = json_object_get(body, "details");
    json_object_del(details, "server_results");
    json_object_del(details, "results");
    if (details != NULL)
        json_object_set_new(details, "fallback_update", json_true());
}

static err_t *send(job_t *job, pool_t *pool, const char *operation, json_t *body)
{
    json_t *answer = NULL;
    json_object_set_new(body, "seq", json_integer(++job->seq));
    str_t path = pool_printf(pool, "%.*s/%s", STR_ARG(job->id), operation);
    err_t *err = gateway_jobs_post(job_client(job), pool, path, body, true, &answer);
    bool is_refused = err != NULL && err->status >= 400 && err->status < 600 && err->status != 409 &&
                      err->status != 401 && err->status != 403 && err->status != 502 && err->status != 503 &&
                      err->status != 504;
    if (is_refused) {
        observe(LOG_WARN, "job_report_refused", F_STR("job", job->id), F_STR("message", err->message));
        drop_ballast(body);
        err = gateway_jobs_post(job_client(job), pool, path, body, true, &answer);
    }
    if (err == NULL)
        job_note_state(job, answer);
    else if (err->status == 409)
        job_note_lost(job);
    return err;
}

static err_t *insert_all(job_t *job, pool_t *pool, const char *query, const json_t *rows)
{
    if (json_array_size(rows) == 0)
        return NULL;
    return gateway_write(job_client(job), pool, STR("POST"), str_from_c(query), rows, STR("missing=default"),
                         NULL);
}

/* What would be part of a report goes into the tables themselves. */
static err_t *send_detached(job_t *job, pool_t *pool, json_t *body)
{
    json_t *row, *commands = json_object_get(body, "commands"), *audit = json_object_get(body, "audit");
    size_t i;
    json_array_foreach(commands, i, row) json_object_set_new(row, "source", json_string("instant_api"));
    json_array_foreach(audit, i, row)
    {
        if (job->user_id.len > 0)
            json_object_set_new(row, "user_id", json_stringn(job->user_id.base, job->user_id.len));
    }
    err_t *err = insert_all(job, pool,
                            "idrac_commands?columns=timestamp,command_type,operation_type,endpoint,full_url,"
                            "request_headers,request_body,response_body,status_code,response_time_ms,success,"
                            "source,error_message,server_id",
                            commands);
    err_t *again = insert_all(job, pool, "audit_logs?columns=action,details,user_id", audit);
    return err != NULL ? err : again;
}

err_t *job_flush(job_t *job)
{
    err_t *kept = NULL;
    pthread_mutex_lock(&job->mutex);
    if (!job->is_lost) {
        pool_t *pool = pool_create();
        json_t *body = take_body(job);
        bool is_detached = job->id.len == 0;
        err_t *err = is_detached ? send_detached(job, pool, body) : send(job, pool, "report", body);
        if (err != NULL && !is_detached)
            put_back(job, body);
        kept = err != NULL ? err_copy(job->pool, err) : NULL;
        job->flushed_us = clock_mono_us();
        json_decref(body);
        pool_destroy(pool);
    } else {
        kept = err_make(job->pool, 409, ERR_FAMILY_UPSTREAM, "lost", "the lease of the job is lost");
    }
    pthread_mutex_unlock(&job->mutex);
    return kept;
}

void job_flush_quietly(job_t *job)
{
    err_t *err = job_flush(job);
    if (err != NULL)
        observe(LOG_WARN, "job_report_failed", F_STR("job", job->id), F_STR("message", err->message));
}

static str_t final_status(const job_t *job)
{
    if (job->is_cancelled)
        return STR("cancelled");
    if (job->executor->is_stopping && job->is_halted)
        return STR("pending"); /* given back: the next one goes on from the journal */
    if (job->is_graceful)
        return STR("cancelled");
    return job->outcome;
}

void job_finish(job_t *job)
{
    str_t status = final_status(job);
    pthread_mutex_lock(&job->mutex);
    json_t *body = take_body(job);
    json_object_set_new(body, "status", json_stringn(status.base, status.len));
    for (int i = 0; i < FINISH_TRIES && !job->is_lost; i++) {
        pool_t *pool = pool_create();
        err_t *err = send(job, pool, "finish", body);
        if (err != NULL)
            observe(LOG_WARN, "job_finish_failed", F_STR("job", job->id), F_STR("message", err->message));
        pool_destroy(pool);
        if (err == NULL || (job->executor->is_stopping && i > 1))
            break;
        if (!job->is_lost)
            nanosleep(&(struct timespec){.tv_sec = FINISH_PAUSE_S}, NULL);
    }
    json_decref(body);
    pthread_mutex_unlock(&job->mutex);
    observe(LOG_INFO, job->is_lost ? "job_lost" : "job_ended", F_STR("job", job->id),
            F_STR("type", job->type), F_STR("status", status),
            F_STR("error", job->error.len > 0 ? job->error : STR("")));
}
