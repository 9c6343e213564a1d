/* Verified tokens, newest use first: bounded, keyed by the whole token, safe for all threads.
 * Only tokens whose signature held are put in; time claims are judged by the reader on every hit. */
#ifndef TOKEN_CACHE_H
#define TOKEN_CACHE_H

#include "token/token.h"

/* What a signature check yields: facts of the token, none of them time-dependent. */
typedef struct {
    identity_t identity;
    bool has_exp, has_nbf, has_iat;
    double exp, nbf, iat; /* as the claims say */
} token_facts_t;

typedef struct token_cache token_cache_t;

token_cache_t *token_cache_create(size_t entries_max);
void token_cache_destroy(token_cache_t *cache); /* NULL is allowed; wipes what it held */

/* Copies the facts of `jwt` into `pool`; false when unknown. */
bool token_cache_get(token_cache_t *cache, pool_t *pool, str_t jwt, token_facts_t *out);

void token_cache_put(token_cache_t *cache, str_t jwt, const token_facts_t *facts);
void token_cache_drop(token_cache_t *cache, str_t jwt);
size_t token_cache_count(token_cache_t *cache);

#endif
