#ifndef EXECUTOR_CREDENTIAL_BOOK_H
#define EXECUTOR_CREDENTIAL_BOOK_H

#include "drivers/credentials/credentials.h"
#include "executor/gateway_client.h"

/* Reads sets, ranges and the key (`env_key` wins over the table's). */
err_t *credential_book_load(gateway_client_t *client, pool_t *pool, str_t env_key,
                            credential_book_t *out) MUST_CHECK;

#endif
