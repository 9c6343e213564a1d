#include "executor/idm_login.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/emit.h"
#include "base/log.h"
#include "base/read_json.h"
#include "base/ticket.h"
#include "drivers/credentials/secret.h"
#include "drivers/directory/directory.h"

#include <stdio.h>
#include <time.h>

/* Many people may sit behind one address; the same figures as the gateway's. */
enum { ADDR_TRIES = 30, ADDR_LOCK_S = 15 * 60, NAME_MAX_LEN = 320 };

typedef struct {
    executor_t *executor;
    gateway_client_t *client;
    pool_t *pool;
    idm_answer_t *out;
    int64_t begun_us;
    const json_t *settings;   /* row of idm_settings */
    str_t key, shared_secret; /* master key of stored passwords; what tickets are signed with */
    directory_t directory;
} login_t;

/* --- answers --- */

static void begin(const login_t *login, emit_t *emit, buf_t *out, bool is_success)
{
    buf_init(out, login->pool, 512);
    emit_init(emit, out);
    emit_object_begin(emit);
    emit_kv_bool(emit, "success", is_success);
}

static void end(const login_t *login, emit_t *emit, const buf_t *out, int status)
{
    emit_kv_int(emit, "response_time_ms", (clock_mono_us() - login->begun_us) / 1000);
    emit_object_end(emit);
    *login->out = (idm_answer_t){status, buf_str(out)};
}

static void fail(const login_t *login, int status, str_t error)
{
    buf_t out;
    emit_t emit;
    begin(login, &emit, &out, false);
    emit_kv_string(&emit, "error", error);
    end(login, &emit, &out, status);
}

static void fail_locked(const login_t *login, int64_t wait_s)
{
    buf_t out;
    emit_t emit;
    begin(login, &emit, &out, false);
    emit_kv_string(&emit, "error", STR("Account temporarily locked"));
    emit_kv_int(&emit, "lockout_remaining_seconds", wait_s);
    end(login, &emit, &out, 429);
}

/* --- settings --- */

static str_t text_of(const login_t *login, const char *key)
{
    return read_json_str(login->settings, key);
}

static str_t opened(const login_t *login, const char *key)
{
    str_t plain = STR_NULL, sealed = text_of(login, key);
    return sealed.len > 0 && secret_decrypt(login->pool, login->key, sealed, &plain) ? plain : STR_NULL;
}

static int64_t number_of(const login_t *login, const char *key, int64_t absent)
{
    int64_t value = read_json_int(login->settings, key, 0);
    return value > 0 ? value : absent;
}

static str_t join_domains(const login_t *login)
{
    size_t i;
    const json_t *domain;
    buf_t out;
    buf_init(&out, login->pool, 64);
    json_array_foreach(read_json_array(login->settings, "trusted_domains"), i, domain)
    {
        if (json_is_string(domain))
            buf_printf(&out, "%s%s", i > 0 ? " " : "", json_string_value(domain));
    }
    return buf_str(&out);
}

static void fill_directory(login_t *login)
{
    bool is_required = read_json_bool(login->settings, "require_ldaps", true);
    str_t ca_file = config_str(login->executor->config, "BASALT_CA_FILE");
    login->directory =
        (directory_t){.server_host = text_of(login, "server_host"),
                      .base_dn = text_of(login, "base_dn"),
                      .user_base = text_of(login, "user_search_base"),
                      .group_base = text_of(login, "group_search_base"),
                      .bind_dn = text_of(login, "bind_dn"),
                      .bind_password = opened(login, "bind_password_encrypted"),
                      .ca_pem = text_of(login, "ca_certificate"),
                      .ad_host = text_of(login, "ad_dc_host"),
                      .ad_domain = text_of(login, "ad_domain_fqdn"),
                      .ad_bind_dn = text_of(login, "ad_bind_dn"),
                      .ad_bind_password = opened(login, "ad_bind_password_encrypted"),
                      .trusted_domains = join_domains(login),
                      .server_port = number_of(login, "server_port", 389),
                      .ldaps_port = number_of(login, "ldaps_port", 636),
                      .ad_port = number_of(login, "ad_dc_port", 636),
                      .timeout_s = number_of(login, "connection_timeout_seconds", 10),
                      .is_tls = is_required || read_json_bool(login->settings, "use_ldaps", true),
                      .is_ad_tls = is_required || read_json_bool(login->settings, "ad_dc_use_ssl", true),
                      .is_verified = read_json_bool(login->settings, "verify_certificate", true),
                      .ca_file = ca_file,
                      .addr_policy = login->executor->device_addresses};
}

/* As the gateway chooses it: what is stored, else what both were started with. */
static void choose_secret(login_t *login, const json_t *row)
{
    str_t env_key = config_str(login->executor->config, "ENCRYPTION_KEY"), stored = STR_NULL;
    login->key = env_key.len > 0 ? env_key : row != NULL ? read_json_str(row, "encryption_key") : STR_NULL;
    str_t sealed = row != NULL ? read_json_str(row, "executor_shared_secret_encrypted") : STR_NULL;
    bool has_stored =
        sealed.len > 0 && secret_decrypt(login->pool, login->key, sealed, &stored) && stored.len > 0;
    login->shared_secret =
        has_stored ? stored : config_str(login->executor->config, "BASALT_EXECUTOR_SHARED_SECRET");
}

/* False after having answered. */
static bool load(login_t *login)
{
    json_t *rows = NULL, *row = NULL;
    err_t *err = gateway_select(login->client, login->pool, STR("idm_settings?select=*&limit=2"), &rows);
    if (err == NULL)
        err = gateway_select_one(
            login->client, login->pool,
            STR("activity_settings?select=encryption_key,executor_shared_secret_encrypted&limit=1"), &row);
    if (err != NULL) {
        observe(LOG_WARN, "sign_in_settings_unreadable", F_STR("message", err->message));
        fail(login, 503, STR("IDM settings cannot be read"));
        return false;
    }
    login->settings = json_array_get(rows, 0);
    choose_secret(login, row);
    if (json_array_size(rows) != 1)
        fail(login, 503, STR("IDM authentication not configured"));
    else if (str_eq(text_of(login, "auth_mode"), STR("local_only")))
        fail(login, 403, STR("IDM authentication not enabled"));
    else if (login->shared_secret.len == 0)
        fail(login, 503, STR("The executor has no shared secret to sign with"));
    else
        return true;
    return false;
}

/* --- the gateway's own lock of the name --- */

static int64_t seconds_until(pool_t *pool, str_t time)
{
    struct tm tm = {0};
    if (strptime(pool_cstr(pool, time), "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return 1;
    int64_t left = (int64_t)timegm(&tm) - clock_unix();
    return left > 1 ? left : 1;
}

/* Whoever is locked there is not asked for here. 0: not locked. */
static err_t *ask_lock(const login_t *login, str_t name, int64_t *wait_s)
{
    json_t *row = NULL;
    str_t query = pool_printf(login->pool,
                              "auth_rate_limits?select=locked_until&identifier_type=eq.username&identifier="
                              "eq.%.*s&locked_until=gt.%.*s",
                              STR_ARG(gateway_url_encode(login->pool, name)),
                              STR_ARG(clock_iso8601(login->pool, clock_unix_ms())));
    err_t *err = gateway_select_one(login->client, login->pool, query, &row);
    *wait_s = row != NULL ? seconds_until(login->pool, read_json_str(row, "locked_until")) : 0;
    return err;
}

/* --- the outcome --- */

static json_t *text_json(str_t text)
{
    return text.len > 0 ? json_stringn(text.base, text.len) : NULL;
}

static void put(json_t *object, const char *key, str_t text)
{
    json_t *value = text_json(text);
    if (value != NULL)
        json_object_set_new(object, key, value);
}

static json_t *groups_json(const directory_person_t *person)
{
    json_t *groups = json_array();
    for (size_t i = 0; i < person->group_count; i++)
        json_array_append_new(groups, text_json(person->groups[i]));
    return groups;
}

static json_t *attributes(const directory_person_t *person)
{
    json_t *info = json_object();
    put(info, "uid", person->uid);
    put(info, "email", person->email);
    put(info, "full_name", person->full_name);
    put(info, "title", person->title);
    put(info, "department", person->department);
    return info;
}

static str_t make_ticket(const login_t *login, const directory_person_t *person)
{
    json_t *claims = attributes(person);
    put(claims, "user_dn", person->dn);
    put(claims, "canonical_principal", person->principal);
    put(claims, "realm", person->realm);
    put(claims, "ad_domain", person->ad_domain);
    json_object_set_new(claims, "is_ad_trust_user", json_boolean(person->is_ad));
    json_object_set_new(claims, "groups", groups_json(person));
    str_t ticket = ticket_make(login->pool, login->shared_secret, claims);
    json_decref(claims);
    return ticket;
}

static void succeed(const login_t *login, const directory_person_t *person)
{
    buf_t out;
    emit_t emit;
    json_t *info = attributes(person), *groups = groups_json(person);
    put(info, "first_name", person->first_name);
    put(info, "last_name", person->last_name);
    put(info, "ticket", make_ticket(login, person));
    begin(login, &emit, &out, true);
    emit_kv_string(&emit, "user_dn", person->dn);
    emit_kv_raw(&emit, "user_info", read_json_dump(login->pool, info));
    emit_kv_raw(&emit, "groups", read_json_dump(login->pool, groups));
    emit_kv_bool(&emit, "is_ad_trust_user", person->is_ad);
    emit_kv_string(&emit, "ad_domain", person->ad_domain);
    emit_kv_string(&emit, "realm", person->realm);
    emit_kv_string(&emit, "canonical_principal", person->principal);
    end(login, &emit, &out, 200);
    json_decref(info);
    json_decref(groups);
}

static void audit_failure(const login_t *login, str_t client_addr, str_t username)
{
    str_t name = str_slice(username, 0, NAME_MAX_LEN);
    json_t *row = json_pack("{s:s, s:s%, s:{s:s%, s:s, s:s%}}", "action", "idm_login_failed", "ip_address",
                            client_addr.len > 0 ? client_addr.base : "", client_addr.len, "details",
                            "username", name.base, name.len, "reason", "wrong credentials", "executor",
                            login->executor->id.base, login->executor->id.len);
    err_t *err = row != NULL ? gateway_write(login->client, login->pool, STR("POST"), STR("audit_logs"), row,
                                             STR_NULL, NULL)
                             : NULL;
    if (row == NULL || err != NULL)
        observe(LOG_WARN, "sign_in_not_audited",
                F_STR("message", err != NULL ? err->message : STR("no row")));
    json_decref(row);
}

static void check(login_t *login, str_t client_addr, try_limit_t *limit, str_t name_key, str_t addr_key,
                  str_t username, str_t password)
{
    directory_person_t person;
    err_t *err = directory_check(login->pool, &login->directory, username, password, &person);
    if (err == NULL) {
        try_limit_forget(limit, name_key);
        try_limit_give_back(limit, addr_key);
        succeed(login, &person);
    } else if (str_eq(err->code, STR("credentials"))) {
        audit_failure(login, client_addr, username);
        fail(login, 401, STR("Invalid credentials"));
    } else { /* a directory that is away, or set up wrongly, is not the person's fault */
        try_limit_give_back(limit, name_key);
        try_limit_give_back(limit, addr_key);
        observe(LOG_WARN, "directory_failed", F_STR("code", err->code), F_STR("message", err->message));
        fail(login, err->status == 504 ? 504 : 503, err->message);
    }
}

static void judge(login_t *login, try_limit_t *limit, str_t client_addr, str_t username, str_t password)
{
    str_t said = directory_split_name(username).user; /* with or without a domain: one counter */
    str_t name =
        pool_lower(login->pool, str_slice(said.len > 0 ? said : str_trim(username), 0, NAME_MAX_LEN));
    str_t name_key = pool_concat(login->pool, 2, STR("name "), name);
    str_t addr_key = pool_concat(login->pool, 2, STR("addr "), client_addr);
    int64_t wait_s = 0, lock_s = number_of(login, "lockout_duration_minutes", 30) * 60;
    err_t *err = ask_lock(login, name, &wait_s);
    if (err != NULL) {
        observe(LOG_WARN, "sign_in_lock_unreadable", F_STR("message", err->message));
        fail(login, 503, STR("Locks cannot be read"));
        return;
    }
    if (wait_s == 0)
        wait_s = try_limit_enter(limit, addr_key, ADDR_TRIES, ADDR_LOCK_S);
    if (wait_s == 0) {
        wait_s = try_limit_enter(limit, name_key, number_of(login, "max_failed_attempts", 5), lock_s);
        if (wait_s > 0)
            try_limit_give_back(limit, addr_key);
    }
    if (wait_s > 0)
        fail_locked(login, wait_s);
    else
        check(login, client_addr, limit, name_key, addr_key, username, password);
}

void idm_login(executor_t *executor, try_limit_t *limit, pool_t *pool, str_t client_addr, str_t username,
               str_t password, idm_answer_t *out)
{
    login_t login = {.executor = executor,
                     .client = gateway_client_create(&executor->gateway),
                     .pool = pool,
                     .out = out,
                     .begun_us = clock_mono_us()};
    if (load(&login)) {
        fill_directory(&login);
        judge(&login, limit, client_addr, username, password);
    }
    crypt_wipe((char *)login.directory.bind_password.base, login.directory.bind_password.len);
    crypt_wipe((char *)login.directory.ad_bind_password.base, login.directory.ad_bind_password.len);
    gateway_client_destroy(login.client);
}
