/* Locks against guessing, kept in memory: a try is counted before it is judged, so that parallel guesses get
 * no more tries than one after another. Thread-safe, bounded. */
#ifndef EXECUTOR_TRY_LIMIT_H
#define EXECUTOR_TRY_LIMIT_H

#include "base/str.h"

typedef struct try_limit try_limit_t;

/* At most `entries_max` keys are remembered; while all of them count, new ones are locked too. */
try_limit_t *try_limit_create(size_t entries_max);
void try_limit_destroy(try_limit_t *limit);

/* Counts a try of `key`. The `max`th one in a row still goes on, and locks the key for `lock_s`; a lock that
 * has run out starts the count anew, and so does a day without a try. Returns 0, or the seconds that a lock
 * still lasts. */
int64_t try_limit_enter(try_limit_t *limit, str_t key, int64_t max, int64_t lock_s);
/* The secret was right: forgets the key. */
void try_limit_forget(try_limit_t *limit, str_t key);
/* Nothing was judged: takes one try back, and the lock that it brought. */
void try_limit_give_back(try_limit_t *limit, str_t key);

#endif
