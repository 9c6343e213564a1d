#include "api/events.h"
#include "auth/address.h"
#include "auth/endpoints.h"
#include "auth/password.h"
#include "base/rand.h"
#include "base/read_json.h"

#define PAGE_SIZE 50
#define PAGE_SIZE_MAX 1000

static err_t *page_number(auth_call_t *call, const char *name, int64_t fallback, int64_t *out)
{
    str_t text = call_param(call, name);
    *out = fallback;
    if (text.len == 0)
        return NULL;
    if (!str_to_int64(text, out) || *out < 0)
        return call_error(call, 400, "validation_failed", "Bad Pagination Parameters: %s must be a number",
                          name);
    *out = *out == 0 ? fallback : *out;
    return NULL;
}

/* "page" comes first: auth-js reads the number behind the first '='. */
static void append_link(buf_t *out, const auth_user_page_t *page, int64_t number, const char *rel)
{
    buf_printf(out, "</admin/users?page=%lld&per_page=%lld>; rel=\"%s\"", (long long)number,
               (long long)page->per_page, rel);
}

static void add_page_headers(auth_call_t *call, const auth_user_page_t *page, int64_t total)
{
    buf_t link;
    int64_t last = (total + page->per_page - 1) / page->per_page;
    buf_init(&link, call->pool, 160);
    if (last > page->page) {
        append_link(&link, page, page->page + 1, "next");
        buf_append_lit(&link, ", ");
    }
    append_link(&link, page, last, "last");
    api_task_add_header(call->task, STR("link"), buf_str(&link));
    api_task_add_header(call->task, STR("x-total-count"), pool_printf(call->pool, "%lld", (long long)total));
}

static err_t *read_sort(auth_call_t *call, auth_user_page_t *page)
{
    str_t rest = call_param(call, "sort");
    if (rest.len == 0)
        return NULL;
    str_t column = str_split(&rest, ' '), direction = str_trim(rest);
    page->is_ascending = str_eq_nocase(direction, STR("asc"));
    bool is_fine = str_eq(column, STR("created_at")) &&
                   (direction.len == 0 || page->is_ascending || str_eq_nocase(direction, STR("desc")));
    return is_fine ? NULL
                   : call_error(call, 400, "validation_failed",
                                "Bad Sort Parameters: bad field or direction for sort");
}

err_t *admin_list_endpoint(auth_call_t *call)
{
    str_t users, filter = call_param(call, "filter");
    int64_t total = 0;
    auth_user_page_t page = {.aud = call_audience(call), .filter = str_is_null(filter) ? STR("") : filter};
    err_t *err = page_number(call, "page", 1, &page.page);
    if (err == NULL)
        err = page_number(call, "per_page", PAGE_SIZE, &page.per_page);
    page.per_page = page.per_page > PAGE_SIZE_MAX ? PAGE_SIZE_MAX : page.per_page;
    if (err == NULL && page.page > INT32_MAX)
        err = call_error(call, 400, "validation_failed", "Bad Pagination Parameters: page is out of range");
    if (err == NULL)
        err = read_sort(call, &page);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_list(&call->scope, &page, &users, &total);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Database error finding users");
    add_page_headers(call, &page, total);
    buf_t out;
    emit_t emit;
    buf_init(&out, call->pool, users.len + 64);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_raw(&emit, "users", users);
    emit_kv_string(&emit, "aud", page.aud);
    emit_object_end(&emit);
    call_reply(call, 200, buf_str(&out));
    return NULL;
}

/* The user that the path names, in an open transaction. */
static err_t *load_user(auth_call_t *call, bool for_update, auth_user_t **user)
{
    str_t id = call->path_params[0];
    if (!str_is_uuid(id))
        return call_error(call, 404, "validation_failed", "user_id must be an UUID");
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_ID, &id, 1, for_update, user);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Database error loading user");
    return *user != NULL ? NULL : call_error(call, 404, "user_not_found", "User not found");
}

err_t *admin_get_endpoint(auth_call_t *call)
{
    auth_user_t *user = NULL;
    err_t *err = load_user(call, false, &user);
    if (err == NULL)
        call_reply(call, 200, auth_user_json(call->pool, user));
    return err;
}

/* What create and update have in common. */
typedef struct {
    str_t id, email, phone, password, password_hash, role, aud, ban;
    bool has_password, confirms_email, confirms_phone;
    const json_t *user_metadata, *app_metadata;
    int64_t ban_ms; /* -1: not given, 0: none */
} admin_params_t;

/* Go's durations: "24h", "1h30m", "1.5h", "300ms". False when malformed or negative. */
static bool parse_duration(str_t text, int64_t *ms)
{
    static const struct {
        const char *unit;
        double ms;
    } UNITS[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}};
    double total = 0;
    for (size_t at = 0; at < text.len;) {
        double number = 0, scale = 1;
        size_t digits = 0;
        bool is_fraction = false;
        for (; at < text.len &&
               ((text.base[at] >= '0' && text.base[at] <= '9') || (text.base[at] == '.' && !is_fraction));
             at++) {
            if (text.base[at] == '.') {
                is_fraction = true;
                continue;
            }
            number = number * 10 + (text.base[at] - '0');
            scale *= is_fraction ? 10 : 1;
            digits++;
        }
        size_t from = at;
        while (at < text.len && text.base[at] >= 'a' && text.base[at] <= 'z')
            at++;
        double unit = 0;
        for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
            if (str_eq(str_slice(text, from, at), str_from_c(UNITS[i].unit)))
                unit = UNITS[i].ms;
        if (digits == 0 || unit == 0)
            return false;
        total += number / scale * unit;
    }
    *ms = (int64_t)total;
    return text.len > 0 && total < 1e15;
}

static err_t *read_ban(auth_call_t *call, admin_params_t *params)
{
    params->ban_ms = params->ban.len == 0 ? -1 : 0;
    if (params->ban.len == 0 || str_eq(params->ban, STR("none")) || str_eq(params->ban, STR("0")))
        return NULL;
    return parse_duration(params->ban, &params->ban_ms)
               ? NULL
               : call_error(call, 400, "validation_failed", "invalid format for ban duration: %.*s",
                            STR_ARG(params->ban));
}

static err_t *read_params(auth_call_t *call, admin_params_t *out)
{
    *out = (admin_params_t){.id = call_str(call, "id"),
                            .email = call_str(call, "email"),
                            .phone = call_str(call, "phone"),
                            .password = call_str(call, "password"),
                            .password_hash = call_str(call, "password_hash"),
                            .role = call_str(call, "role"),
                            .aud = call_str(call, "aud"),
                            .ban = call_str(call, "ban_duration"),
                            .confirms_email = call_bool(call, "email_confirm", false),
                            .confirms_phone = call_bool(call, "phone_confirm", false),
                            .user_metadata = call_object(call, "user_metadata"),
                            .app_metadata = call_object(call, "app_metadata")};
    out->has_password = !str_is_null(out->password);
    err_t *err = call_body_error(call);
    if (err == NULL && out->email.len > 0)
        err = address_check_email(call->pool, out->email, &out->email);
    if (err == NULL && out->phone.len > 0)
        err = address_check_phone(call->pool, out->phone, &out->phone);
    return err != NULL ? err : read_ban(call, out);
}

static err_t *ban(auth_call_t *call, str_t user_id, int64_t ban_ms)
{
    if (ban_ms < 0)
        return NULL;
    str_t ms = pool_printf(call->pool, "%lld", (long long)ban_ms);
    return auth_query(
        &call->scope,
        STR("update auth.users set banned_until = case when $2::bigint > 0 then now() + $2::bigint * "
            "interval '1 millisecond' end, updated_at = now() where id = $1::uuid"),
        DB_PARAMS(user_id, ms), NULL);
}

static str_t identity_data(auth_call_t *call, const char *member, str_t address, bool is_verified)
{
    return pool_printf(call->pool, "{\"%s\":\"%.*s\",\"%s_verified\":%s}", member, STR_ARG(address), member,
                       is_verified ? "true" : "false");
}

static err_t *check_is_free(auth_call_t *call, const admin_params_t *params, str_t aud, str_t except_id)
{
    auth_user_t *other = NULL;
    err_t *err = NULL;
    if (params->email.len > 0)
        err = auth_user_find(&call->scope, AUTH_BY_EMAIL_IDENTITY, DB_PARAMS(params->email, aud, except_id),
                             false, &other);
    if (err == NULL && other != NULL)
        return call_error(call, 422, "email_exists",
                          "A user with this email address has already been registered");
    if (err == NULL && params->phone.len > 0)
        err = auth_user_find(&call->scope, AUTH_BY_PHONE, DB_PARAMS(params->phone, aud), false, &other);
    if (err == NULL && other != NULL && !str_eq(other->id, except_id))
        return call_error(call, 422, "phone_exists", "Phone number already registered by another user");
    return err;
}

static err_t *check_create(auth_call_t *call, const admin_params_t *params)
{
    if (params->email.len == 0 && params->phone.len == 0)
        return call_error(call, 400, "validation_failed",
                          "Cannot create a user without either an email or phone");
    if (params->has_password && params->password_hash.len > 0)
        return call_error(call, 400, "validation_failed",
                          "Only a password or a password hash should be provided");
    if (params->password.len > AUTH_PASSWORD_MAX)
        return call_error(call, 400, "validation_failed", "Password cannot be longer than %d characters",
                          AUTH_PASSWORD_MAX);
    if (params->password_hash.len > 0 && !password_is_hash(call->pool, params->password_hash))
        return call_error(call, 400, "validation_failed",
                          "The password hash has a format that is not supported");
    if (params->id.len > 0 && (!str_is_uuid(params->id) || str_eq(params->id, STR(AUTH_ZERO_UUID))))
        return call_error(call, 400, "validation_failed", "ID must conform to the uuid v4 format");
    return NULL;
}

static str_t app_metadata(const admin_params_t *params)
{
    if (params->email.len > 0 && params->phone.len > 0)
        return STR("{\"provider\":\"email\",\"providers\":[\"email\",\"phone\"]}");
    return params->email.len > 0 ? STR("{\"provider\":\"email\",\"providers\":[\"email\"]}")
                                 : STR("{\"provider\":\"phone\",\"providers\":[\"phone\"]}");
}

static err_t *insert_user(auth_call_t *call, const admin_params_t *params, str_t aud, str_t hash,
                          auth_user_t **user)
{
    str_t role =
        params->role.len > 0 ? params->role : config_str(call->scope.config, "GOTRUE_JWT_DEFAULT_GROUP_NAME");
    auth_new_user_t fresh = {.id = params->id.len > 0 ? params->id : STR_NULL,
                             .email = params->email,
                             .phone = params->phone,
                             .password_hash = hash,
                             .aud = aud,
                             .app_metadata = app_metadata(params),
                             .user_metadata = params->user_metadata != NULL
                                                  ? read_json_dump(call->pool, params->user_metadata)
                                                  : STR("{}")};
    err_t *err = auth_user_insert(&call->scope, &fresh, str_is_null(role) ? STR("") : role, user);
    if (err == NULL && params->email.len > 0)
        err = auth_identity_merge(&call->scope, (*user)->id, STR("email"),
                                  identity_data(call, "email", params->email, false));
    if (err == NULL && params->phone.len > 0)
        err = auth_identity_merge(&call->scope, (*user)->id, STR("phone"),
                                  identity_data(call, "phone", params->phone, false));
    return err;
}

static err_t *finish_create(auth_call_t *call, const admin_params_t *params, auth_user_t **user)
{
    auth_scope_t *scope = &call->scope;
    auth_actor_t actor = call_admin(call);
    str_t id = (*user)->id;
    err_t *err = auth_audit(scope, &actor, "user_signedup", auth_traits_user(call->pool, *user));
    if (err == NULL && params->app_metadata != NULL)
        err = auth_user_merge_metadata(scope, id, "raw_app_meta_data", params->app_metadata);
    if (err == NULL && params->confirms_email && params->email.len > 0)
        err = auth_user_confirm_email(scope, id);
    if (err == NULL && params->confirms_phone && params->phone.len > 0)
        err = auth_user_confirm_phone(scope, id);
    if (err == NULL)
        err = ban(call, id, params->ban_ms);
    if (err == NULL)
        err = auth_user_reload(scope, user);
    return err != NULL ? err : auth_commit(scope);
}

static err_t *create_user(auth_call_t *call, const admin_params_t *params, auth_user_t **user)
{
    str_t aud = params->aud.len > 0 ? params->aud : call_audience(call), hash = params->password_hash;
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = check_is_free(call, params, aud, STR(""));
    auth_rollback(&call->scope);
    if (err != NULL)
        return err;
    if (hash.len == 0)
        hash = password_hash(call->pool,
                             params->password.len > 0 ? params->password : password_random(call->pool));
    if (str_is_null(hash))
        return call_error(call, 400, "validation_failed", "The password cannot be used");
    err = auth_begin(&call->scope);
    if (err == NULL)
        err = insert_user(call, params, aud, hash, user);
    return err != NULL ? err : finish_create(call, params, user);
}

err_t *admin_create_endpoint(auth_call_t *call)
{
    admin_params_t params;
    auth_user_t *user = NULL;
    err_t *err = read_params(call, &params);
    if (err == NULL)
        err = check_create(call, &params);
    if (err == NULL)
        err = create_user(call, &params, &user);
    if (err == NULL)
        call_reply(call, 200, auth_user_json(call->pool, user));
    else if (str_eq(err->code, STR("23505")) &&
             str_find(err->message, STR("users_email_partial_key"), 0) != SIZE_MAX)
        err = call_error(call, 422, "email_exists",
                         "A user with this email address has already been registered");
    return auth_db_error(&call->scope, err, "Database error creating new user");
}

static err_t *set_address(auth_call_t *call, const auth_user_t *user, const admin_params_t *params)
{
    err_t *err = NULL;
    auth_scope_t *scope = &call->scope;
    if (params->email.len > 0) {
        err = auth_identity_merge(scope, user->id, STR("email"),
                                  identity_data(call, "email", params->email, params->confirms_email));
        if (err == NULL)
            err = auth_query(
                scope,
                STR("update auth.users set email = $2, is_anonymous = is_anonymous and not $3::boolean, "
                    "updated_at = now() where id = $1::uuid"),
                DB_PARAMS(user->id, params->email, params->confirms_email ? STR("true") : STR("false")),
                NULL);
    }
    if (err == NULL && params->phone.len > 0) {
        err = auth_identity_merge(scope, user->id, STR("phone"),
                                  identity_data(call, "phone", params->phone, params->confirms_phone));
        if (err == NULL)
            err = auth_query(
                scope,
                STR("update auth.users set phone = $2, is_anonymous = is_anonymous and not $3::boolean, "
                    "updated_at = now() where id = $1::uuid"),
                DB_PARAMS(user->id, params->phone, params->confirms_phone ? STR("true") : STR("false")),
                NULL);
    }
    return err;
}

static err_t *apply_update(auth_call_t *call, const admin_params_t *params, str_t hash, auth_user_t **user)
{
    auth_scope_t *scope = &call->scope;
    auth_actor_t actor = call_admin(call);
    str_t id = (*user)->id;
    err_t *err = NULL;
    if (params->role.len > 0)
        err =
            auth_query(scope, STR("update auth.users set role = $2, updated_at = now() where id = $1::uuid"),
                       DB_PARAMS(id, params->role), NULL);
    if (err == NULL && params->confirms_email)
        err = auth_user_confirm_email(scope, id);
    if (err == NULL && params->confirms_phone)
        err = auth_user_confirm_phone(scope, id);
    if (err == NULL && params->has_password)
        err = auth_user_set_password(scope, id, hash, STR_NULL);
    if (err == NULL)
        err = set_address(call, *user, params);
    if (err == NULL && params->app_metadata != NULL)
        err = auth_user_merge_metadata(scope, id, "raw_app_meta_data", params->app_metadata);
    if (err == NULL && params->user_metadata != NULL)
        err = auth_user_merge_metadata(scope, id, "raw_user_meta_data", params->user_metadata);
    if (err == NULL)
        err = ban(call, id, params->ban_ms);
    if (err == NULL)
        err = auth_audit(scope, &actor, "user_modified", auth_traits_user(call->pool, *user));
    if (err == NULL)
        err = auth_user_reload(scope, user);
    return err != NULL ? err : auth_commit(scope);
}

err_t *admin_update_endpoint(auth_call_t *call)
{
    str_t hash = STR_NULL;
    admin_params_t params;
    auth_user_t *user = NULL;
    err_t *err = load_user(call, false, &user);
    if (err == NULL)
        err = read_params(call, &params);
    if (err == NULL)
        err = check_is_free(call, &params, user->aud, user->id);
    auth_rollback(&call->scope);
    if (err == NULL && params.has_password)
        err = password_check_strength(&call->scope, params.password);
    if (err == NULL && params.has_password)
        hash = password_hash(call->pool, params.password);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = apply_update(call, &params, hash, &user);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Error updating user");
    api_event_post(call->auth->gateway, API_EVENT_USER_CHANGED, user->id);
    call_reply(call, 200, auth_user_json(call->pool, user));
    return NULL;
}
