/* Taking secrets out of what is stored or shown: by key name at any depth, in URLs, and by value. */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include "base/pool.h"

#include <jansson.h>

/* True for names that hold secrets, in any case: password, passwd, pwd, secret, token, authorization, cookie,
 * apikey, private_key, vmware_soap_session and everything that contains one of them. */
bool redact_is_secret_name(str_t name);

/* A copy of `value` without secrets: strings and structures under secret names become "[REDACTED]", a user
 * name beside a password too; ImportBuffer (a whole profile) becomes its size and digest; strings pass
 * redact_text. `known`: further secrets of `known_count` whose occurrence anywhere is masked (shorter than 4
 * bytes: ignored). Owner: the caller. */
json_t *redact_json(pool_t *pool, const json_t *value, const str_t *known, size_t known_count);

/* Masks passwords in URL authorities, values of secret query parameters, and `known`. */
str_t redact_text(pool_t *pool, str_t text, const str_t *known, size_t known_count);

#endif
