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

/* The groups of `size` neighbours, each packed into one number. */
typedef struct {
    uint64_t *keys;
    size_t count;
} grams_t;

enum { POINT_BITS = 21 };

static grams_t grams_of(pool_t *pool, word_t w, size_t size)
{
    grams_t out = {POOL_ARRAY(pool, uint64_t, w.len + 1), 0};
    for (size_t i = 0; i + size <= w.len; i++) {
        uint64_t key = 0;
        for (size_t k = 0; k < size; k++)
            key = key << POINT_BITS | w.points[i + k];
        out.keys[out.count++] = key;
    }
    return out;
}

/* How often each group of the wanted name stands in it. A client chooses that name, and hundreds of
 * candidates are held against it, so that no pair of groups may be compared one by one. */
enum { TALLY_SLOTS = 2048 }; /* at least twice the groups of the longest name, a power of two */

typedef struct {
    uint64_t key;
    uint32_t count; /* 0: free */
} tally_slot_t;

static tally_slot_t *tally_find(tally_slot_t *slots, uint64_t key)
{
    size_t at = (size_t)(key * 0x9E3779B97F4A7C15u >> 32);
    while (slots[at % TALLY_SLOTS].count != 0 && slots[at % TALLY_SLOTS].key != key)
        at++;
    return &slots[at % TALLY_SLOTS];
}

static tally_slot_t *tally_of(pool_t *pool, grams_t grams)
{
    tally_slot_t *slots = POOL_ARRAY(pool, tally_slot_t, TALLY_SLOTS);
    memset(slots, 0, TALLY_SLOTS * sizeof(*slots));
    for (size_t i = 0; i < grams.count; i++) {
        tally_slot_t *slot = tally_find(slots, grams.keys[i]);
        slot->key = grams.keys[i];
        slot->count++;
    }
    return slots;
}

/* Sum over distinct groups of (occurrences in the tally) x (occurrences in the other). */
static double dot(tally_slot_t *tally, grams_t grams)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < grams.count; i++)
        sum += tally_find(tally, grams.keys[i])->count;
    return (double)sum;
}

static double self_dot(grams_t grams)
{
    uint64_t sum = grams.count;
    for (size_t i = 0; i < grams.count; i++)
        for (size_t k = i + 1; k < grams.count; k++)
            sum += grams.keys[i] == grams.keys[k] ? 2 : 0;
    return (double)sum;
}

static size_t longest_of(word_t a, word_t b)
{
    return a.len > b.len ? a.len : b.len;
}

/* The edit distance is the difference in length at least. */
static double similarity_max(word_t a, word_t b)
{
    size_t longest = longest_of(a, b), shortest = a.len + b.len - longest;
    return longest == 0 ? 1 : (double)shortest / (double)longest;
}

static double edit_similarity(pool_t *pool, word_t a, word_t b)
{
    size_t longest = longest_of(a, b);
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
    grams_t query = grams_of(pool, enclosed(pool, wanted), size);
    tally_slot_t *tally = tally_of(pool, query);
    double query_norm = sqrt(dot(tally, query));
    for (size_t i = 0; i < count; i++) {
        grams_t grams = grams_of(pool, enclosed(pool, words[i]), size);
        double common = dot(tally, grams);
        if (common > 0)
            ranked[found++] = (ranked_t){i, common / (query_norm * sqrt(self_dot(grams)))};
    }
    qsort(ranked, found, sizeof(*ranked), compare_ranked);
    found = found > RANKED_MAX ? RANKED_MAX : found;
    for (size_t i = 0; i < found; i++) {
        word_t word = words[ranked[i].index];
        ranked[i].score = similarity_max(wanted, word);
        if (ranked[i].score >= score_min)
            ranked[i].score = edit_similarity(pool, wanted, word);
    }
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
    bool is_possible = false;
    for (size_t i = 0; i < count; i++) {
        words[i] = decode(pool, candidates[i]);
        if (words[i].len == query.len &&
            memcmp(words[i].points, query.points, query.len * sizeof(*query.points)) == 0)
            return accept_equal ? candidates[i] : STR_NULL;
        is_possible = is_possible || similarity_max(query, words[i]) >= score_min;
    }
    if (!is_possible)
        return STR_NULL;
    str_t best = nearest_by_groups(pool, query, words, candidates, count, 3, score_min);
    return !str_is_null(best) ? best : nearest_by_groups(pool, query, words, candidates, count, 2, score_min);
}
