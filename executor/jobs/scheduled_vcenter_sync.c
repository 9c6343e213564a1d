#include "executor/jobs/jobs.h"
#include "executor/jobs/service.h"

#include "base/read_json.h"

enum { ASK_MS = 60000 };

/* Queues a sync of every vCenter that is due. The original made the next of its kind itself; here the
 * gateway's scheduler asks every minute, so that one such job does it once. */
void job_scheduled_vcenter_sync(job_t *job)
{
    json_t *answer = NULL, *body = json_object();
    err_t *err = gateway_function_post(job_client(job), job->pool, STR("trigger-vcenter-syncs"), body, ASK_MS,
                                       &answer);
    json_decref(body);
    if (err != NULL) {
        job_fail(job, "%.*s", STR_ARG(err->message));
        return;
    }
    job_set(job, "syncs_triggered", json_integer(read_json_int(answer, "triggered", 0)));
    job_set(job, "syncs_skipped", json_integer(read_json_int(answer, "skipped", 0)));
    job_log(job, "INFO", "%.*s", STR_ARG(read_json_str(answer, "message")));
}
