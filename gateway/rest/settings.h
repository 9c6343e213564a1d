/* The configuration of the REST room, read once per reload and shared by the requests that started under it.
 */
#ifndef REST_SETTINGS_H
#define REST_SETTINGS_H

#include "rest/stages.h"

/* Counted, loop thread only. */
typedef struct {
    rest_settings_t values; /* strings live in `pool` */
    pool_t *pool;
    unsigned refs;
} rest_settings_box_t;

rest_settings_box_t *rest_settings_load(const config_t *config); /* count 1 */
rest_settings_box_t *rest_settings_ref(rest_settings_box_t *box);
void rest_settings_unref(rest_settings_box_t *box);

/* BASALT_REST_PREFIX without slashes at its end: empty at the root. */
str_t rest_settings_prefix(const config_t *config);

/* The values that stand for "unset" and the proposed limits; for tests. */
void rest_settings_default(rest_settings_t *out);

#endif
