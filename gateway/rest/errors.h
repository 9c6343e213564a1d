/* Errors of the request family (PGRST1xx): one row per code. Source: PostgREST documentation, "Errors". */
#ifndef REST_ERRORS_H
#define REST_ERRORS_H

#include "base/err.h"

typedef enum {
    REST_ERR_QUERY,            /* 100: message = position, details = what was expected */
    REST_ERR_RPC_METHOD,       /* 101 method */
    REST_ERR_BODY,             /* 102 reason */
    REST_ERR_RANGE,            /* 103 */
    REST_ERR_PUT_FILTERS,      /* 105 */
    REST_ERR_SCHEMA,           /* 106 schema */
    REST_ERR_MEDIA,            /* 107 list */
    REST_ERR_NOT_EMBEDDED,     /* 108 name */
    REST_ERR_GUC_HEADERS,      /* 111 */
    REST_ERR_GUC_STATUS,       /* 112 */
    REST_ERR_PUT_LIMIT,        /* 114 */
    REST_ERR_PUT_KEY,          /* 115 */
    REST_ERR_SINGULAR,         /* 116 */
    REST_ERR_METHOD,           /* 117 method */
    REST_ERR_RELATED_ORDER,    /* 118 name */
    REST_ERR_EMBED_FILTER,     /* 120 name */
    REST_ERR_PREFERENCES,      /* 122 */
    REST_ERR_AGGREGATES,       /* 123 */
    REST_ERR_MAX_AFFECTED,     /* 124 */
    REST_ERR_PATH,             /* 125 */
    REST_ERR_ROOT_DISABLED,    /* 126 */
    REST_ERR_NOT_IMPLEMENTED,  /* 127 */
    REST_ERR_MAX_AFFECTED_RPC, /* 128 */
    REST_ERR_COUNT
} rest_error_t;

/* The row's error; `subject` fills the message's gap where it has one (else pass the null string). Details
 * and hint are added with err_details and err_hint. */
err_t *rest_error(pool_t *pool, rest_error_t error, str_t subject);

/* The row's code, for tests and docs. */
const char *rest_error_code(rest_error_t error);

#endif
