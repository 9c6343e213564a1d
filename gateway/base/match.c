#include "base/match.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 2000
#define HEAP_LIMIT_KIB 4096
#define PATTERN_MAX 4096

struct match {
    pcre2_code *code;
    pcre2_match_context *limits;
};

match_t *match_create(str_t pattern, bool is_caseless, const char **why)
{
    static const char *const too_long = "the pattern is too long";
    static const char *const bad = "the pattern is not a valid regular expression";
    int number;
    PCRE2_SIZE where;
    if (why != NULL)
        *why = pattern.len > PATTERN_MAX ? too_long : bad;
    if (pattern.len > PATTERN_MAX)
        return NULL;
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | (is_caseless ? PCRE2_CASELESS : 0);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)(pattern.len != 0 ? pattern.base : ""), pattern.len, options,
                                     &number, &where, NULL);
    if (code == NULL)
        return NULL;
    match_t *match = malloc(sizeof(*match));
    if (match == NULL)
        abort();
    *match = (match_t){.code = code, .limits = pcre2_match_context_create(NULL)};
    if (match->limits == NULL)
        abort();
    pcre2_set_match_limit(match->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(match->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(match->limits, HEAP_LIMIT_KIB);
    return match;
}

void match_destroy(match_t *match)
{
    if (match == NULL)
        return;
    pcre2_match_context_free(match->limits);
    pcre2_code_free(match->code);
    free(match);
}

bool match_test(const match_t *match, str_t subject)
{
    return match_groups(match, subject, NULL, 0);
}

bool match_groups(const match_t *match, str_t subject, str_t *groups, size_t count)
{
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(match->code, NULL);
    if (data == NULL)
        abort();
    const char *base = subject.len != 0 ? subject.base : "";
    int found = pcre2_match(match->code, (PCRE2_SPTR)base, subject.len, 0, 0, data, match->limits);
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);
    for (size_t i = 0; i < count; i++) {
        bool is_there = found > 0 && i < (size_t)found && ends[2 * i] != PCRE2_UNSET;
        groups[i] = is_there ? str_make(base + ends[2 * i], ends[2 * i + 1] - ends[2 * i]) : STR_NULL;
    }
    pcre2_match_data_free(data);
    return found > 0;
}
