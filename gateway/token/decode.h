/* From the compact text of a token to trusted claims: form, header, key, signature, in this order. */
#ifndef TOKEN_DECODE_H
#define TOKEN_DECODE_H

#include "token/keys.h"

#include <jansson.h>

/* Errors are PGRST301 (and PGRST303 for claims that are no object). `*claims` is owned by `pool`;
 * `*claims_text` is the payload as JSON without white space, its numbers as they were written. */
err_t *token_decode(const token_keys_t *keys, pool_t *pool, str_t jwt, json_t **claims,
                    str_t *claims_text) MUST_CHECK;

/* A 401 with code and the WWW-Authenticate header that goes with it; details may be NULL. */
err_t *token_refuse(pool_t *pool, const char *code, const char *message, const char *details);

#endif
