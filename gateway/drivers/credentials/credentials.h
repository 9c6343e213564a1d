/* Which account opens which device. The order, and that an undecipherable password ends the search instead of
 * falling through to a weaker account, are the product's contract. */
#ifndef DRIVERS_CREDENTIALS_CREDENTIALS_H
#define DRIVERS_CREDENTIALS_CREDENTIALS_H

#include "base/err.h"

#include <jansson.h>

typedef struct {
    str_t username, password; /* the password in the pool; wiped by credential_wipe */
    str_t source;             /* for logs: "server", "linked set 'x'", "range 10.0.0.0/8", ... */
    str_t set_id;             /* null string: not of a set */
} credential_t;

void credential_wipe(credential_t *credential);

/* Everything the search looks at. Borrowed JSON. */
typedef struct {
    const json_t *sets;                       /* credential_sets rows */
    const json_t *ranges;                     /* credential_ip_ranges rows */
    str_t key;                                /* master key, null string: none */
    str_t default_username, default_password; /* of the environment */
} credential_book_t;

/* 1 the server's own, 2 its linked set, 3 the set that discovered it, 4 ranges by priority (ties: the set's
 * priority, then its name), 5 default sets, 6 the environment. Entries without user or password are passed
 * over. Errors: code no_credentials; undecipherable (at the first entry whose password cannot be read). */
err_t *credential_find(const credential_book_t *book, pool_t *pool, const json_t *server,
                       credential_t *out) MUST_CHECK;

/* The set with that id. Errors as credential_find. */
err_t *credential_of_set(const credential_book_t *book, pool_t *pool, str_t set_id,
                         credential_t *out) MUST_CHECK;

/* Ids of the sets to try on an unknown address: those whose range holds it, then `given` (an array of ids,
 * may be NULL), each once, lowest priority first in both parts. */
size_t credential_candidates(const credential_book_t *book, pool_t *pool, str_t address, const json_t *given,
                             str_t **out);

#endif
