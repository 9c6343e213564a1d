/* The vCenters that are set up, with their passwords opened. */
#ifndef FUNCTIONS_VCENTER_WHERE_H
#define FUNCTIONS_VCENTER_WHERE_H

#include "functions/peer.h"

typedef enum {
    VCENTER_SYNCED,  /* rows of vcenters with sync_enabled; without any row there, the one of vcenter_settings
                      */
    VCENTER_SETTINGS /* the row of vcenter_settings; without one, the primary vCenter */
} vcenter_choice_t;

/* As the service role: the caller has been judged. `*out` lives in the task's pool. */
err_t *vcenter_where(api_task_t *task, vcenter_choice_t choice, peer_where_t **out, size_t *count) MUST_CHECK;

#endif
