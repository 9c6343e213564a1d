#include "executor/caller.h"

#include "base/crypt.h"
#include "base/read_json.h"

static bool is_loopback(str_t host)
{
    return str_starts_with(host, STR("127.")) || str_eq(host, STR("::1")) || str_eq(host, STR("localhost"));
}

static err_t *find_user(executor_t *executor, pool_t *pool, str_t token, str_t *user_id)
{
    json_t *user = NULL;
    gateway_address_t address = executor->gateway;
    address.key = token;
    gateway_client_t *client = gateway_client_create(&address);
    err_t *err = gateway_user(client, pool, &user);
    gateway_client_destroy(client);
    if (err != NULL && err->status >= 400 && err->status < 500)
        return err_make(pool, 401, ERR_FAMILY_AUTH, "", "Sign in first");
    if (err != NULL)
        return err_make(pool, 503, ERR_FAMILY_AUTH, "", "The gateway cannot be asked who that is");
    *user_id = read_json_str(user, "id");
    return NULL;
}

static err_t *check_role(executor_t *executor, pool_t *pool, str_t user_id)
{
    json_t *row = NULL;
    gateway_client_t *client = gateway_client_create(&executor->gateway);
    str_t query = pool_printf(pool, "user_roles?select=role&user_id=eq.%.*s&role=in.(admin,operator)&limit=1",
                              STR_ARG(user_id));
    err_t *err = gateway_select_one(client, pool, query, &row);
    gateway_client_destroy(client);
    if (err != NULL)
        return err_make(pool, 503, ERR_FAMILY_AUTH, "", "The gateway cannot be asked for roles");
    return row != NULL ? NULL
                       : err_make(pool, 403, ERR_FAMILY_AUTH, "", "This needs the role admin or operator");
}

err_t *caller_check(executor_t *executor, pool_t *pool, str_t authorization, str_t *user_id)
{
    static const str_t BEARER = STR("Bearer ");
    *user_id = STR_NULL;
    if (authorization.len == 0 && is_loopback(config_str(executor->config, "BASALT_EXECUTOR_LISTEN")))
        return NULL;
    if (!str_starts_with(authorization, BEARER))
        return err_make(pool, 401, ERR_FAMILY_AUTH, "", "Sign in first");
    str_t token = str_slice(authorization, BEARER.len, authorization.len);
    if (crypt_equal(token, executor->gateway.key))
        return NULL;
    err_t *err = find_user(executor, pool, token, user_id);
    return err != NULL ? err : check_role(executor, pool, *user_id);
}
