/* The error value: what went wrong, carried up to the one place that renders it (api/respond).
 * Its fields are PostgreSQL's and PostgREST's: code, message, details, hint. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/pool.h"
#include "base/str.h"

typedef enum {
    ERR_FAMILY_REQUEST,  /* the request is malformed */
    ERR_FAMILY_SCHEMA,   /* it names what is not there */
    ERR_FAMILY_AUTH,     /* who is calling, and may they */
    ERR_FAMILY_DATABASE, /* PostgreSQL said so */
    ERR_FAMILY_OVERLOAD, /* limits, timeouts, pool exhausted */
    ERR_FAMILY_UPSTREAM, /* a device or service that we called */
    ERR_FAMILY_BUG       /* an invariant of ours failed */
} err_family_t;

typedef struct {
    uint16_t status; /* HTTP */
    err_family_t family;
    str_t code; /* PGRST116, 42501, invalid_credentials ... */
    str_t message;
    str_t details;      /* null string: absent */
    str_t hint;         /* null string: absent */
    str_t details_json; /* when set, rendered as raw JSON in place of details */
    str_t reason;       /* words of the status line, or null: the usual ones */
    str_t headers;      /* extra response headers "Name: value\r\n"..., or null */
} err_t;

#define MUST_CHECK __attribute__((warn_unused_result))

/* All strings are copied into `pool`; message is a printf format. Never returns NULL. */
err_t *err_make(pool_t *pool, uint16_t status, err_family_t family, const char *code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Set the optional parts (copied); return `err` for chaining. */
err_t *err_details(pool_t *pool, err_t *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
err_t *err_hint(pool_t *pool, err_t *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A copy in another pool (an error that outlives its request, or crosses threads). */
err_t *err_copy(pool_t *pool, const err_t *err);

/* A failed invariant: status 500, family bug; logs file and line once. */
#define err_bug(pool, what) err_bug_at((pool), (what), __FILE__, __LINE__)
err_t *err_bug_at(pool_t *pool, const char *what, const char *file, int line);

#endif
