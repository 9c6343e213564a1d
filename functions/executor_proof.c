/* How the executor (or somebody who may act for it) proves itself: HMAC headers, service role, or a user. */
#include "base/clock.h"
#include "base/crypt.h"
#include "functions/canonical_json.h"
#include "functions/fn.h"

#define SIGNATURE_AGE_MAX_S 300
#define SIGNATURE_AHEAD_MAX_S 30

static const char SECRET_SQL[] =
    "select public.decrypt_password(executor_shared_secret_encrypted, encryption_key)"
    "  from public.activity_settings"
    " where executor_shared_secret_encrypted is not null limit 1";

str_t fn_shared_secret(api_task_t *task)
{
    db_rows_t rows = {0};
    str_t secret = STR_NULL;
    err_t *err = fn_read_service(task, FN_SQL(SECRET_SQL), NULL, 0, &rows);
    if (err == NULL && rows.row_count == 1)
        secret = db_value(&rows, 0, 0);
    return secret.len > 0 ? secret : config_str(task->gateway->config, "BASALT_EXECUTOR_SHARED_SECRET");
}

static bool is_fresh(str_t timestamp)
{
    int64_t at = 0;
    size_t digits = 0;
    while (digits < timestamp.len && timestamp.base[digits] >= '0' && timestamp.base[digits] <= '9')
        digits++;
    if (digits == 0 || !str_to_int64(str_slice(timestamp, 0, digits), &at))
        return false;
    int64_t age = clock_unix() - at;
    return age <= SIGNATURE_AGE_MAX_S && age >= -SIGNATURE_AHEAD_MAX_S;
}

static bool is_signed(api_task_t *task, str_t secret, str_t signature, str_t timestamp)
{
    for (int dialect = CANONICAL_ASCII; dialect <= CANONICAL_UTF8; dialect++) {
        str_t message = canonical_json(task->pool, task->body, (canonical_t)dialect);
        if (str_is_null(message))
            return false;
        str_t expected =
            crypt_hmac_sha256_hex(task->pool, secret, pool_concat(task->pool, 2, message, timestamp));
        if (crypt_equal(expected, signature))
            return true;
    }
    return false;
}

static err_t *user_proof(api_task_t *task, fn_proof_t *out)
{
    fn_caller_t caller = FN_CALLER_GONE;
    bool is_user = str_eq(task->identity.role, STR("authenticated"));
    err_t *err = is_user ? fn_caller_check(task, "admin operator viewer", &caller) : NULL;
    *out = caller == FN_CALLER_FINE ? FN_PROOF_JWT : FN_PROOF_NONE;
    return err;
}

err_t *fn_executor_proof(api_task_t *task, fn_proof_t *out)
{
    str_t signature = api_task_header(task, "x-executor-signature");
    str_t timestamp = api_task_header(task, "x-executor-timestamp");
    *out = FN_PROOF_NONE;
    if (!str_is_null(signature) && !str_is_null(timestamp)) {
        str_t secret = is_fresh(timestamp) ? fn_shared_secret(task) : STR_NULL;
        if (secret.len > 0 && is_signed(task, secret, signature, timestamp))
            *out = FN_PROOF_HMAC;
        return NULL;
    }
    if (task->identity.has_token && str_eq(task->identity.role, STR("service_role"))) {
        *out = FN_PROOF_SERVICE;
        return NULL;
    }
    return task->identity.has_token ? user_proof(task, out) : NULL;
}

void fn_fail_lookup(api_task_t *task, const err_t *err,
                    void (*fail)(api_task_t *task, int status, str_t message))
{
    fail(task, err->status == 503 ? 503 : 500, fn_error_text(task, err));
}

bool fn_admit_executor(api_task_t *task, const char *roles, const char *unauthorized,
                       void (*fail)(api_task_t *task, int status, str_t message), fn_proof_t *proof)
{
    fn_caller_t caller = FN_CALLER_FINE;
    err_t *err = fn_executor_proof(task, proof);
    if (err == NULL && *proof == FN_PROOF_JWT)
        err = fn_caller_check(task, roles, &caller);
    if (err != NULL)
        fn_fail_lookup(task, err, fail);
    else if (*proof == FN_PROOF_NONE)
        fail(task, 401, str_from_c(unauthorized));
    else if (caller != FN_CALLER_FINE)
        fail(task, 403, STR("Insufficient permissions"));
    return err == NULL && *proof != FN_PROOF_NONE && caller == FN_CALLER_FINE;
}
