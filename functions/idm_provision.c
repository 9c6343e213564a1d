#include "base/crypt.h"
#include "base/ticket.h"
#include "functions/idm.h"

#define GROUPS_MAX 500

/* Every field that counts comes from the ticket: the body is the browser's. */
static void take_person(pool_t *pool, const json_t *claims, directory_person_t *out)
{
    const json_t *groups = read_json_array(claims, "groups");
    size_t count = json_array_size(groups) < GROUPS_MAX ? json_array_size(groups) : GROUPS_MAX;
    str_t *names = POOL_ARRAY(pool, str_t, count + 1);
    *out = (directory_person_t){.uid = directory_split_name(read_json_str(claims, "uid")).user,
                                .dn = read_json_str(claims, "user_dn"),
                                .principal = read_json_str(claims, "canonical_principal"),
                                .realm = read_json_str(claims, "realm"),
                                .ad_domain = read_json_str(claims, "ad_domain"),
                                .email = read_json_str(claims, "email"),
                                .full_name = read_json_str(claims, "full_name"),
                                .title = read_json_str(claims, "title"),
                                .department = read_json_str(claims, "department"),
                                .groups = names,
                                .is_ad = read_json_bool(claims, "is_ad_trust_user", false)};
    for (size_t i = 0; i < count; i++) {
        const json_t *group = json_array_get(groups, i);
        if (json_is_string(group))
            names[out->group_count++] = str_make(json_string_value(group), json_string_length(group));
    }
    if (out->realm.len == 0)
        out->realm = STR("IDM.LOCAL");
    if (out->principal.len == 0)
        out->principal = pool_concat(pool, 3, out->uid, STR("@"), out->realm);
}

/* The first who comes with it. */
static err_t *use_ticket(api_task_t *task, const json_t *claims)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    str_t until = pool_printf(task->pool, "%lld", (long long)read_json_int(claims, "exp", 0));
    err_t *err = db_session_begin(task->gateway->internal_sessions, task->pool,
                                  &(db_session_who_t){.deadline_us = task->deadline_us}, &session);
    if (err == NULL)
        err = db_session_query(session, STR("select basalt.ticket_use($1::uuid, to_timestamp($2::bigint))"),
                               DB_PARAMS(read_json_str(claims, "jti"), until), &rows);
    err = fn_end(session, err);
    if (err == NULL && !str_eq(db_value(&rows, 0, 0), STR("t")))
        err = err_make(task->pool, 401, ERR_FAMILY_AUTH, "ticket",
                       "The sign-in ticket is missing, used or no longer valid");
    return err;
}

/* A secret that also signs access tokens would let either pass for the other's proof. */
static str_t ticket_secret(api_task_t *task)
{
    str_t secret = fn_shared_secret(task);
    return crypt_equal(secret, config_str(task->gateway->config, "PGRST_JWT_SECRET")) ? STR_NULL : secret;
}

static bool read_ticket(api_task_t *task, const json_t *body, json_t **claims)
{
    str_t ticket = read_json_str(read_json_object(body, "user_info"), "ticket");
    err_t *err = ticket_read(task->pool, ticket_secret(task), ticket, claims);
    if (err == NULL)
        err = use_ticket(task, *claims);
    if (err == NULL)
        return true;
    bool is_refused = err->status == 401;
    if (is_refused)
        idm_audit_failure(task, read_json_str(body, "username"), "no valid ticket");
    fn_fail_success(task, is_refused ? 401 : 500, is_refused ? err->message : STR("Internal server error"));
    return false;
}

static void provision(api_task_t *task, const idm_settings_t *settings, const directory_person_t *person)
{
    lockout_t lock = {.identifier = person->uid,
                      .type = "username",
                      .max = settings->tries_max,
                      .minutes = settings->lock_minutes};
    err_t *err = lockout_enter(task, &lock);
    if (err != NULL) {
        fn_fail_success(task, 500, STR("Internal server error"));
    } else if (lock.is_locked) {
        lockout_reply(task, &lock, "Account temporarily locked");
    } else if (!idm_sign_in(task, settings, person)) {
        lockout_release(task, &lock);
    } else {
        err = lockout_success(task, &lock);
        if (err != NULL)
            fn_fail_success(task, 500, STR("Internal server error"));
    }
}

static void fail_body(api_task_t *task, int status, str_t message)
{
    (void)message;
    fn_fail_success(task, status, STR("Internal server error"));
}

void fn_idm_provision(api_task_t *task)
{
    json_t *body = NULL, *claims = NULL;
    idm_settings_t settings;
    directory_person_t person;
    if (!fn_body(task, &body, fail_body))
        return;
    if (read_json_str(body, "username").len == 0) {
        fn_fail_success(task, 400, STR("Username is required"));
        return;
    }
    if (!read_ticket(task, body, &claims) || !idm_load(task, &settings))
        return;
    take_person(task->pool, claims, &person);
    if (person.uid.len == 0)
        fn_fail_success(task, 401, STR("The sign-in ticket names nobody"));
    else
        provision(task, &settings, &person);
}
