/* Bodies of ended requests for the next ones. A large body is memory that the kernel maps and clears page by
 * page: under load that costs a quarter of a long answer, so what the requests of the last moment have used
 * is kept, and given back once it was not needed for a second. Loop thread only. */
#ifndef REST_SPARES_H
#define REST_SPARES_H

#include "base/buf.h"
#include "loop/loop.h"

typedef struct rest_spares rest_spares_t;

rest_spares_t *rest_spares_create(loop_t *loop);
void rest_spares_destroy(rest_spares_t *spares);

/* The body given back last, or one without memory. */
buf_t rest_spares_take(rest_spares_t *spares);
/* Takes the memory (on the heap) over and leaves the buffer without any. */
void rest_spares_give(rest_spares_t *spares, buf_t *body);

size_t rest_spares_bytes(const rest_spares_t *spares); /* kept at the moment */

#endif
