/* Regular expressions: PCRE2 with match, depth and heap limits, so that no pattern or subject hurts. */
#ifndef BASE_MATCH_H
#define BASE_MATCH_H

#include "base/pool.h"

typedef struct match match_t;

/* Compiles (UTF, optionally caseless); NULL when the pattern is bad, with its reason in `*why` when given. */
match_t *match_create(str_t pattern, bool is_caseless, const char **why);
void match_destroy(match_t *match);

/* True when `subject` matches anywhere; false also when a limit stops the search. */
bool match_test(const match_t *match, str_t subject);

/* Like match_test, and fills up to `count` groups (group 0 is the whole match). */
bool match_groups(const match_t *match, str_t subject, str_t *groups, size_t count);

#endif
