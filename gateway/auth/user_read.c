#include "auth/user.h"

#include "base/read_json.h"

#include <stddef.h>

#define JSON_IDENTITIES                                                                                      \
    "(select coalesce(jsonb_agg(jsonb_build_object('identity_id', i.id, 'id', i.provider_id, 'user_id', "    \
    "i.user_id, "                                                                                            \
    "'identity_data', i.identity_data, 'provider', i.provider, 'last_sign_in_at', " AUTH_SQL_TIME(           \
        "i.last_sign_in_at") ", 'created_at', " AUTH_SQL_TIME("i.created_at") ", "                           \
                                                                              "'updated_at',"                \
                                                                              " " AUTH_SQL_TIME("i.updated_" \
                                                                                                "at") ") "   \
                                                                                                      "|| "  \
                                                                                                      "case" \
                                                                                                      " whe" \
                                                                                                      "n "   \
                                                                                                      "coal" \
                                                                                                      "esce" \
                                                                                                      "(i."  \
                                                                                                      "emai" \
                                                                                                      "l, "  \
                                                                                                      "'') " \
                                                                                                      "= "   \
                                                                                                      "'' "  \
                                                                                                      "then" \
                                                                                                      " '{}" \
                                                                                                      "'::"  \
                                                                                                      "json" \
                                                                                                      "b "   \
                                                                                                      "else" \
                                                                                                      " jso" \
                                                                                                      "nb_"  \
                                                                                                      "buil" \
                                                                                                      "d_"   \
                                                                                                      "obje" \
                                                                                                      "ct('" \
                                                                                                      "emai" \
                                                                                                      "l', " \
                                                                                                      "i."   \
                                                                                                      "emai" \
                                                                                                      "l) "  \
                                                                                                      "end " \
                                                                                                      "orde" \
                                                                                                      "r "   \
                                                                                                      "by "  \
                                                                                                      "i."   \
                                                                                                      "crea" \
                                                                                                      "ted_" \
                                                                                                      "at, " \
                                                                                                      "i."   \
                                                                                                      "id)," \
                                                                                                      " '[]" \
                                                                                                      "') "  \
                                                                                                      "from" \
                                                                                                      " aut" \
                                                                                                      "h."   \
                                                                                                      "iden" \
                                                                                                      "titi" \
                                                                                                      "es "  \
                                                                                                      "i "   \
                                                                                                      "wher" \
                                                                                                      "e "   \
                                                                                                      "i."   \
                                                                                                      "user" \
                                                                                                      "_id " \
                                                                                                      "= "   \
                                                                                                      "u."   \
                                                                                                      "id)"

#define JSON_FACTORS                                                                                         \
    "(select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'created_at', " AUTH_SQL_TIME(                \
        "f.created_at") ", 'updated_at', " AUTH_SQL_TIME("f.updated_at") ", 'status', f.status, "            \
                                                                         "'factor_type', f.factor_type, "    \
                                                                         "'phone', coalesce(f.phone, ''), "  \
                                                                         "'last_challenged_at',"             \
                                                                         " " AUTH_SQL_TIME(                  \
                                                                             "f.last_challenged_at") ") || " \
                                                                                                     "case " \
                                                                                                     "when " \
                                                                                                     "coale" \
                                                                                                     "sce("  \
                                                                                                     "f."    \
                                                                                                     "frien" \
                                                                                                     "dly_"  \
                                                                                                     "name," \
                                                                                                     " '') " \
                                                                                                     "= '' " \
                                                                                                     "then " \
                                                                                                     "'{}':" \
                                                                                                     ":json" \
                                                                                                     "b "    \
                                                                                                     "else " \
                                                                                                     "jsonb" \
                                                                                                     "_buil" \
                                                                                                     "d_"    \
                                                                                                     "objec" \
                                                                                                     "t('"   \
                                                                                                     "frien" \
                                                                                                     "dly_"  \
                                                                                                     "name'" \
                                                                                                     ", "    \
                                                                                                     "f."    \
                                                                                                     "frien" \
                                                                                                     "dly_"  \
                                                                                                     "name)" \
                                                                                                     " end " \
                                                                                                     "order" \
                                                                                                     " by "  \
                                                                                                     "f."    \
                                                                                                     "creat" \
                                                                                                     "ed_"   \
                                                                                                     "at), " \
                                                                                                     "'[]')" \
                                                                                                     " "     \
                                                                                                     "from " \
                                                                                                     "auth." \
                                                                                                     "mfa_"  \
                                                                                                     "facto" \
                                                                                                     "rs f " \
                                                                                                     "where" \
                                                                                                     " f."   \
                                                                                                     "user_" \
                                                                                                     "id = " \
                                                                                                     "u.id)"

#define EPOCH_MS(column) "(extract(epoch from " column ") * 1000)::bigint"

typedef enum { FIELD_TEXT, FIELD_MS, FIELD_FLAG } field_kind_t;

typedef struct {
    field_kind_t kind;
    size_t offset;
    const char *sql;
} field_t;

#define TEXT(member, sql)                                                                                    \
    {                                                                                                        \
        FIELD_TEXT, offsetof(auth_user_t, member), sql                                                       \
    }
#define TIME(member)                                                                                         \
    {                                                                                                        \
        FIELD_TEXT, offsetof(auth_user_t, member), AUTH_SQL_TIME("u." #member)                               \
    }

static const field_t FIELDS[] = {
    TEXT(id, "u.id"),
    TEXT(aud, "coalesce(u.aud, '')"),
    TEXT(role, "coalesce(u.role, '')"),
    TEXT(email, "coalesce(u.email, '')"),
    TEXT(phone, "coalesce(u.phone, '')"),
    TEXT(encrypted_password, "u.encrypted_password"),
    TIME(email_confirmed_at),
    TIME(phone_confirmed_at),
    TIME(confirmed_at),
    TIME(invited_at),
    TIME(confirmation_sent_at),
    TIME(recovery_sent_at),
    TIME(email_change_sent_at),
    TIME(phone_change_sent_at),
    TIME(reauthentication_sent_at),
    TIME(last_sign_in_at),
    TIME(banned_until),
    TIME(deleted_at),
    TIME(created_at),
    TIME(updated_at),
    TEXT(email_change, "coalesce(u.email_change, '')"),
    TEXT(phone_change, "coalesce(u.phone_change, '')"),
    TEXT(confirmation_token, "coalesce(u.confirmation_token, '')"),
    TEXT(recovery_token, "coalesce(u.recovery_token, '')"),
    TEXT(email_change_token_new, "coalesce(u.email_change_token_new, '')"),
    TEXT(email_change_token_current, "coalesce(u.email_change_token_current, '')"),
    TEXT(reauthentication_token, "coalesce(u.reauthentication_token, '')"),
    TEXT(app_metadata, "coalesce(u.raw_app_meta_data, '{}')"),
    TEXT(user_metadata, "coalesce(u.raw_user_meta_data, '{}')"),
    {FIELD_MS, offsetof(auth_user_t, confirmation_sent_ms), EPOCH_MS("u.confirmation_sent_at")},
    {FIELD_MS, offsetof(auth_user_t, recovery_sent_ms), EPOCH_MS("u.recovery_sent_at")},
    {FIELD_MS, offsetof(auth_user_t, email_change_sent_ms), EPOCH_MS("u.email_change_sent_at")},
    {FIELD_MS, offsetof(auth_user_t, reauthentication_sent_ms), EPOCH_MS("u.reauthentication_sent_at")},
    {FIELD_MS, offsetof(auth_user_t, email_change_status), "coalesce(u.email_change_confirm_status, 0)"},
    {FIELD_FLAG, offsetof(auth_user_t, is_anonymous), "u.is_anonymous"},
    {FIELD_FLAG, offsetof(auth_user_t, is_sso), "u.is_sso_user"},
    {FIELD_FLAG, offsetof(auth_user_t, is_banned), "coalesce(u.banned_until > now(), false)"},
    {FIELD_FLAG, offsetof(auth_user_t, has_verified_factor),
     "exists (select from auth.mfa_factors f where f.user_id = u.id and f.status = 'verified')"},
    /* Not in lists, which do not load them. */
    TEXT(identities, JSON_IDENTITIES),
    TEXT(factors, JSON_FACTORS),
};
#define FIELD_COUNT (sizeof(FIELDS) / sizeof(FIELDS[0]))
#define LIST_FIELD_COUNT (FIELD_COUNT - 2)

#define TOKEN_LOOKUP(types)                                                                                  \
    "u.id = (select t.user_id from auth.one_time_tokens t where t.token_hash in ($1, 'pkce_' || $1) and "    \
    "t.token_type "                                                                                          \
    "in (" types ") limit 1)"

static const char *const WHERE[] = {
    [AUTH_BY_ID] = "u.id = $1::uuid",
    [AUTH_BY_EMAIL] =
        "u.instance_id = '" AUTH_ZERO_UUID "' and lower(u.email) = $1 and u.aud = $2 and not u.is_sso_user",
    [AUTH_BY_PHONE] =
        "u.instance_id = '" AUTH_ZERO_UUID "' and u.phone = $1 and u.aud = $2 and not u.is_sso_user",
    [AUTH_BY_EMAIL_IDENTITY] =
        "u.aud = $2 and u.id::text <> $3 and not u.is_sso_user and (lower(u.email) = $1 or u.id in "
        "(select i.user_id from auth.identities i where i.email = $1 and i.provider not like 'sso:%')) limit "
        "1",
    [AUTH_BY_CONFIRMATION] = TOKEN_LOOKUP("'confirmation_token'"),
    [AUTH_BY_RECOVERY] = TOKEN_LOOKUP("'recovery_token'"),
    [AUTH_BY_CONFIRM_OR_RECOVER] = TOKEN_LOOKUP("'confirmation_token', 'recovery_token'"),
    [AUTH_BY_EMAIL_CHANGE] = TOKEN_LOOKUP("'email_change_token_current', 'email_change_token_new'"),
    [AUTH_BY_EMAIL_CHANGE_NEW] = TOKEN_LOOKUP("'email_change_token_new'"),
};

static void append_columns(buf_t *sql, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_lit(sql, ", ");
        buf_append_str(sql, str_from_c(FIELDS[i].sql));
    }
}

static auth_user_t *read_row(pool_t *pool, const db_rows_t *rows, size_t row, size_t count)
{
    auth_user_t *user = POOL_NEW(pool, auth_user_t);
    for (size_t i = 0; i < count; i++) {
        char *member = (char *)user + FIELDS[i].offset;
        str_t value = db_value(rows, row, i);
        if (FIELDS[i].kind == FIELD_TEXT)
            *(str_t *)(void *)member = value;
        else if (FIELDS[i].kind == FIELD_FLAG)
            *(bool *)member = str_eq(value, STR("t"));
        else if (!str_to_int64(value, (int64_t *)(void *)member))
            *(int64_t *)(void *)member = 0;
    }
    return user;
}

err_t *auth_user_find(auth_scope_t *scope, auth_user_by_t by, const str_t *params, size_t count,
                      bool for_update, auth_user_t **out)
{
    buf_t sql;
    db_rows_t rows;
    *out = NULL;
    buf_init(&sql, scope->pool, 4096);
    buf_append_lit(&sql, "select ");
    append_columns(&sql, FIELD_COUNT);
    buf_append_lit(&sql, " from auth.users u where ");
    buf_append_str(&sql, str_from_c(WHERE[by]));
    if (for_update)
        buf_append_lit(&sql, " for no key update of u");
    err_t *err = auth_query(scope, buf_str(&sql), params, count, &rows);
    if (err == NULL && rows.row_count > 0)
        *out = read_row(scope->pool, &rows, 0, FIELD_COUNT);
    return err;
}

err_t *auth_user_find_in_session(auth_scope_t *scope, str_t id, str_t session_id, auth_user_t **out,
                                 auth_session_facts_t *session)
{
    buf_t sql;
    db_rows_t rows;
    *out = NULL;
    *session = (auth_session_facts_t){0};
    buf_init(&sql, scope->pool, 4096);
    buf_append_lit(&sql, "select ");
    append_columns(&sql, FIELD_COUNT);
    buf_append_lit(&sql, ", s.id, coalesce(s.aal::text, 'aal1'), " EPOCH_MS(
                             "s.created_at") " from auth.users u left join auth.sessions s on s.id = "
                                             "$2::uuid and s.user_id = u.id "
                                             "where u.id = $1::uuid");
    err_t *err = auth_query(scope, buf_str(&sql), DB_PARAMS(id, session_id), &rows);
    if (err != NULL || rows.row_count == 0)
        return err;
    *out = read_row(scope->pool, &rows, 0, FIELD_COUNT);
    session->id = db_value(&rows, 0, FIELD_COUNT);
    session->aal = db_value(&rows, 0, FIELD_COUNT + 1);
    if (!str_to_int64(db_value(&rows, 0, FIELD_COUNT + 2), &session->created_ms))
        session->created_ms = 0;
    return NULL;
}

err_t *auth_user_reload(auth_scope_t *scope, auth_user_t **user)
{
    str_t id = (*user)->id;
    err_t *err = auth_user_find(scope, AUTH_BY_ID, &id, 1, false, user);
    if (err == NULL && *user == NULL)
        err = auth_error(scope->pool, 404, "user_not_found", "User not found");
    return err;
}

static void emit_if_set(emit_t *emit, str_t key, str_t value)
{
    if (value.len == 0)
        return;
    emit_key(emit, key);
    emit_string(emit, value);
}

void auth_user_emit_members(emit_t *emit, const auth_user_t *user)
{
    emit_kv_string(emit, "id", user->id);
    emit_kv_string(emit, "aud", user->aud);
    emit_kv_string(emit, "role", user->role);
    emit_kv_string(emit, "email", user->email);
    emit_if_set(emit, STR("email_confirmed_at"), user->email_confirmed_at);
    emit_if_set(emit, STR("invited_at"), user->invited_at);
    emit_kv_string(emit, "phone", user->phone);
    emit_if_set(emit, STR("phone_confirmed_at"), user->phone_confirmed_at);
    emit_if_set(emit, STR("confirmation_sent_at"), user->confirmation_sent_at);
    emit_if_set(emit, STR("confirmed_at"), user->confirmed_at);
    emit_if_set(emit, STR("recovery_sent_at"), user->recovery_sent_at);
    emit_if_set(emit, STR("new_email"), user->email_change);
    emit_if_set(emit, STR("email_change_sent_at"), user->email_change_sent_at);
    emit_if_set(emit, STR("new_phone"), user->phone_change);
    emit_if_set(emit, STR("phone_change_sent_at"), user->phone_change_sent_at);
    emit_if_set(emit, STR("reauthentication_sent_at"), user->reauthentication_sent_at);
    emit_if_set(emit, STR("last_sign_in_at"), user->last_sign_in_at);
    emit_kv_raw(emit, "app_metadata", user->app_metadata);
    emit_kv_raw(emit, "user_metadata", user->user_metadata);
    if (user->factors.len > 2)
        emit_kv_raw(emit, "factors", user->factors);
    emit_kv_raw(emit, "identities", user->identities.len > 0 ? user->identities : STR("[]"));
    emit_kv_string(emit, "created_at", user->created_at);
    emit_kv_string(emit, "updated_at", user->updated_at);
    emit_if_set(emit, STR("banned_until"), user->banned_until);
    emit_if_set(emit, STR("deleted_at"), user->deleted_at);
    emit_kv_bool(emit, "is_anonymous", user->is_anonymous);
}

str_t auth_user_json(pool_t *pool, const auth_user_t *user)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 1024);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    auth_user_emit_members(&emit, user);
    emit_object_end(&emit);
    return buf_str(&out);
}

#define LIST_WHERE                                                                                           \
    " from auth.users u where u.instance_id = '" AUTH_ZERO_UUID                                              \
    "' and u.aud = $1 and ($2 = '' or u.email like "                                                         \
    "'%' || $2 || '%' or (u.raw_user_meta_data ->> 'full_name') ilike '%' || $2 || '%')"

static err_t *count_users(auth_scope_t *scope, const auth_user_page_t *page, int64_t *total)
{
    db_rows_t rows;
    err_t *err =
        auth_query(scope, STR("select count(*)" LIST_WHERE), DB_PARAMS(page->aud, page->filter), &rows);
    if (err == NULL && !str_to_int64(db_value(&rows, 0, 0), total))
        err = err_bug(scope->pool, "count is no number");
    return err;
}

err_t *auth_user_list(auth_scope_t *scope, const auth_user_page_t *page, str_t *json, int64_t *total)
{
    buf_t sql, out;
    emit_t emit;
    db_rows_t rows;
    buf_init(&sql, scope->pool, 4096);
    buf_append_lit(&sql, "select ");
    append_columns(&sql, LIST_FIELD_COUNT);
    buf_append_lit(&sql, LIST_WHERE " order by u.created_at ");
    buf_append_str(&sql, page->is_ascending ? STR("asc") : STR("desc"));
    buf_append_lit(&sql, ", u.id limit $3::bigint offset $4::bigint");
    str_t limit = pool_printf(scope->pool, "%lld", (long long)page->per_page);
    str_t offset = pool_printf(scope->pool, "%lld", (long long)((page->page - 1) * page->per_page));
    err_t *err = count_users(scope, page, total);
    if (err == NULL)
        err = auth_query(scope, buf_str(&sql), DB_PARAMS(page->aud, page->filter, limit, offset), &rows);
    if (err != NULL)
        return err;
    buf_init(&out, scope->pool, 1024 * (rows.row_count + 1));
    emit_init(&emit, &out);
    emit_array_begin(&emit);
    for (size_t i = 0; i < rows.row_count; i++) {
        emit_object_begin(&emit);
        auth_user_emit_members(&emit, read_row(scope->pool, &rows, i, LIST_FIELD_COUNT));
        emit_object_end(&emit);
    }
    emit_array_end(&emit);
    *json = buf_str(&out);
    return NULL;
}
