/* The streams that wait for the job bell. Loop thread only. */
#ifndef JOBS_STREAM_H
#define JOBS_STREAM_H

#include "api/context.h"

typedef struct jobs_streams jobs_streams_t;

jobs_streams_t *jobs_streams_create(gateway_t *gateway, pool_t *pool);
/* Answers the request with a stream that lives until the client leaves or the gateway drains. */
void jobs_stream_open(jobs_streams_t *streams, api_context_t *ctx);

#endif
