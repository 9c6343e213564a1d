#include "functions/device_credentials.h"

#include "drivers/credentials/credentials.h"

static const char BOOK_SQL[] =
    "select (select encryption_key from public.activity_settings limit 1),"
    "       (select coalesce(jsonb_agg(to_jsonb(c)), '[]') from public.credential_sets c),"
    "       (select coalesce(jsonb_agg(to_jsonb(r)), '[]') from public.credential_ip_ranges r),"
    "       (select to_jsonb(s) from public.servers s where s.id = $1::uuid and s.ip_address = $2)";

/* `*server` is NULL when there is none at that address. */
static err_t *load_book(api_task_t *task, str_t server_id, str_t address, credential_book_t *book,
                        json_t **server)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    json_t *sets = NULL, *ranges = NULL;
    read_json_limits_t any = {.any_value = true};
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(BOOK_SQL), DB_PARAMS(server_id, address), &rows);
    db_session_rollback(session);
    if (err == NULL)
        err = read_json(task->pool, db_value(&rows, 0, 1), &any, &sets);
    if (err == NULL)
        err = read_json(task->pool, db_value(&rows, 0, 2), &any, &ranges);
    if (err == NULL && !str_is_null(db_value(&rows, 0, 3)))
        err = read_json(task->pool, db_value(&rows, 0, 3), &any, server);
    if (err == NULL)
        *book = (credential_book_t){.sets = sets, .ranges = ranges, .key = db_value(&rows, 0, 0)};
    return err;
}

static err_t *take(err_t *err, const credential_t *found, device_where_t *where)
{
    if (err != NULL)
        return err;
    where->username = found->username;
    where->password = found->password;
    return NULL;
}

err_t *device_credentials_of_server(api_task_t *task, device_where_t *where)
{
    credential_book_t book;
    credential_t found = {0};
    json_t *server = NULL;
    err_t *err = load_book(task, where->server_id, where->address, &book, &server);
    if (err == NULL && server == NULL)
        return err_make(task->pool, 400, ERR_FAMILY_UPSTREAM, "no_credentials",
                        "No credentials are stored for this server at this address");
    if (err == NULL)
        err = credential_find(&book, task->pool, server, &found);
    return take(err, &found, where);
}

static void free_json(void *arg)
{
    json_decref(arg);
}

err_t *device_credentials_of_address(api_task_t *task, device_where_t *where)
{
    credential_book_t book;
    credential_t found = {0};
    json_t *unknown = json_pack("{s:s%}", "ip_address", where->address.base, where->address.len);
    err_t *err = load_book(task, STR_NULL, STR_NULL, &book, &unknown);
    pool_on_dispose(task->pool, free_json, unknown);
    if (err == NULL)
        err = credential_find(&book, task->pool, unknown, &found);
    return take(err, &found, where);
}

err_t *device_credentials_of_set(api_task_t *task, str_t set_id, device_where_t *where)
{
    credential_book_t book;
    credential_t found = {0};
    json_t *nobody = NULL;
    err_t *err = load_book(task, STR_NULL, STR_NULL, &book, &nobody);
    if (err == NULL)
        err = credential_of_set(&book, task->pool, set_id, &found);
    return take(err, &found, where);
}
