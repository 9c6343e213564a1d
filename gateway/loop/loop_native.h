/* Private door for http/: the libh2o loop below a loop_t. Nobody else includes this. */
#ifndef LOOP_LOOP_NATIVE_H
#define LOOP_LOOP_NATIVE_H

#include "loop/loop.h"

#include <h2o.h>

/* Borrowed; the same thread only. */
h2o_loop_t *loop_native(loop_t *loop);

#endif
