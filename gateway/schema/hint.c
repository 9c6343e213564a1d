/* Candidates that share letter groups (trigrams, else bigrams) with the wanted name are ranked by the angle
 * between their group vectors; the best fifty are ranked again by edit distance. */
#include "schema/hint.h"

#include <math.h>
#include <stdlib.h>

#define RANKED_MAX 50
#define NAME_MAX_POINTS 512

typedef struct {
    uint32_t *points;
    size_t len;
} word_t;

/* Code points with ASCII letters in lower case; malformed bytes stand for themselves. */
static word_t decode(pool_t *pool, str_t s)
{
    word_t w = {POOL_ARRAY(pool, uint32_t, s.len + 2), 0};
    for (size_t i = 0; i < s.len && w.len < NAME_MAX_POINTS;) {
        unsigned char c = (unsigned char)s.base[i];
        size_t extra = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        uint32_t point = extra == 3 ? c & 7u : extra == 2 ? c & 15u : extra == 1 ? c & 31u : c;
        i++;
        for (; extra > 0 && i < s.len; extra--, i++)
            point = point << 6 | ((unsigned char)s.base[i] & 63u);
        if (point >= 'A' && point <= 'Z')
            point += 'a' - 'A';
        w.points[w.len++] = point;
    }
    return w;
}

static bool counts(uint32_t point)
{
    return point >= 0x80 || (point >= 'a' && point <= 'z') || (point >= '0' && point <= '9') ||
           point == ',' || point == ' ' || (point >= '\t' && point <= '\r');
}

/* Letters, digits, blanks and commas only, between hyphens. */
static word_t enclosed(pool_t *pool, word_t w)
{
    word_t e = {POOL_ARRAY(pool, uint32_t, w.len + 2), 0};
    e.points[e.len++] = '-';
    for (size_t i = 0; i < w.len; i++)
        if (counts(w.points[i]))
            e.points[e.len++] = w.points[i];
    e.points[e.len++] = '-';
    return e;
}

static bool is_same_gram(const uint32_t *a, const uint32_t *b, size_t size)
{
    return memcmp(a, b, size * sizeof(*a)) == 0;
}

/* Sum over distinct groups of (occurrences in a) x (occurrences in b). */
static double dot(word_t a, word_t b, size_t size)
{
    double sum = 0;
    for (size_t i = 0; i + size <= a.len; i++)
        for (size_t k = 0; k + size <= b.len; k++)
            sum += is_same_gram(a.points + i, b.points + k, size);
    return sum;
}

static double edit_similarity(pool_t *pool, word_t a, word_t b)
{
    size_t longest = a.len > b.len ? a.len : b.len;
    if (longest == 0)
        return 1;
    size_t *row = POOL_ARRAY(pool, size_t, b.len + 1);
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t change = diagonal + (a.points[i - 1] != b.points[k - 1]);
            diagonal = row[k];
            size_t step = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;
            row[k] = change < step ? change : step;
        }
    }
    return 1.0 - (double)row[b.len] / (double)longest;
}

typedef struct {
    size_t index;
    double score;
} ranked_t;

static int compare_ranked(const void *left, const void *right)
{
    const ranked_t *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

static str_t nearest_by_groups(pool_t *pool, word_t wanted, const word_t *words, const str_t *candidates,
                               size_t count, size_t size, double score_min)
{
    ranked_t *ranked = POOL_ARRAY(pool, ranked_t, count + 1);
    size_t found = 0;
    word_t query = enclosed(pool, wanted);
    double query_norm = sqrt(dot(query, query, size));
    for (size_t i = 0; i < count; i++) {
        word_t word = enclosed(pool, words[i]);
        double common = dot(query, word, size);
        if (common > 0)
            ranked[found++] = (ranked_t){i, common / (query_norm * sqrt(dot(word, word, size)))};
    }
    qsort(ranked, found, sizeof(*ranked), compare_ranked);
    found = found > RANKED_MAX ? RANKED_MAX : found;
    for (size_t i = 0; i < found; i++)
        ranked[i].score = edit_similarity(pool, wanted, words[ranked[i].index]);
    qsort(ranked, found, sizeof(*ranked), compare_ranked);
    return found > 0 && ranked[0].score >= score_min ? candidates[ranked[0].index] : STR_NULL;
}

str_t schema_nearest(pool_t *pool, str_t wanted, const str_t *candidates, size_t count, double score_min,
                     bool accept_equal)
{
    if (count >= SCHEMA_HINT_CANDIDATES_MAX)
        return STR_NULL;
    word_t query = decode(pool, wanted);
    word_t *words = POOL_ARRAY(pool, word_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        words[i] = decode(pool, candidates[i]);
        if (words[i].len == query.len && is_same_gram(words[i].points, query.points, query.len))
            return accept_equal ? candidates[i] : STR_NULL;
    }
    str_t best = nearest_by_groups(pool, query, words, candidates, count, 3, score_min);
    return !str_is_null(best) ? best : nearest_by_groups(pool, query, words, candidates, count, 2, score_min);
}
