#include "executor/credential_book.h"

#include "base/read_json.h"

err_t *credential_book_load(gateway_client_t *client, pool_t *pool, str_t env_key, credential_book_t *out)
{
    json_t *sets = NULL, *ranges = NULL, *row = NULL;
    err_t *err =
        gateway_select(client, pool, STR("credential_sets?select=*&order=priority.asc,name.asc"), &sets);
    if (err == NULL)
        err = gateway_select(client, pool, STR("credential_ip_ranges?select=*&order=priority.asc"), &ranges);
    if (err == NULL && env_key.len == 0)
        err = gateway_select_one(client, pool, STR("activity_settings?select=encryption_key&limit=1"), &row);
    if (err != NULL)
        return err;
    out->sets = sets;
    out->ranges = ranges;
    out->key = env_key.len > 0 ? env_key : (row != NULL ? read_json_str(row, "encryption_key") : STR_NULL);
    return NULL;
}
