/* A mutator that knows how requests are written: it works on tokens between the grammar's marks, so that most
 * results still parse for a good part of their way. Every other result is left to the fuzzer's own mutations
 * of bytes. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);

#define CONTROL_BYTES 3 /* the targets choose method, table and headers by their first bytes */

static const char MARKS[] = "&=.,():\"!*>;{}[]/ \n";

static const char *const WORDS[] = {
    "select=",
    "order=",
    "limit=",
    "offset=",
    "columns=",
    "on_conflict=",
    "and=",
    "or=",
    "not.and=",
    "&",
    "eq.",
    "neq.",
    "gt.",
    "gte.",
    "lt.",
    "lte.",
    "like.",
    "ilike.",
    "match.",
    "imatch.",
    "in.",
    "is.",
    "isdistinct.",
    "fts(english).",
    "plfts.",
    "phfts.",
    "wfts.",
    "cs.",
    "cd.",
    "ov.",
    "sl.",
    "sr.",
    "nxr.",
    "nxl.",
    "adj.",
    "not.",
    "null",
    "not_null",
    "unknown",
    "true",
    "(any).",
    "(all).",
    "eq(any).{1,2}",
    "in.(1,2)",
    "in.(\"a,b\",\"c\\\"d\")",
    "{a,b}",
    "*",
    "...",
    "clients(*)",
    "tasks(id)",
    "!inner",
    "!left",
    "!client_id",
    "tasks.order=",
    "clients.select=",
    "tasks.limit=",
    "tasks.or=",
    "id",
    "name",
    "client_id",
    "->",
    "->>",
    "->0",
    "->>-1",
    "::text",
    "::int",
    "alias:",
    "count()",
    ".sum()",
    ".avg()",
    ".max()::text",
    ".asc",
    ".desc",
    ".nullsfirst",
    ".nullslast",
    "1",
    "-1",
    "0",
    "1e3",
    "9223372036854775808",
    "%20",
    "%2C",
    "%00",
    "%ff",
    "%C3%A9",
    "+",
    "\\",
    "\"",
    "return=representation",
    "return=minimal",
    "return=headers-only",
    "count=exact",
    "count=planned",
    "count=estimated",
    "resolution=merge-duplicates",
    "resolution=ignore-duplicates",
    "missing=default",
    "handling=strict",
    "handling=lenient",
    "tx=rollback",
    "tx=commit",
    "timezone=Europe/Vienna",
    "max-affected=1",
    "params=single-object",
    "application/json",
    "text/csv",
    "application/vnd.pgrst.object+json;nulls=stripped",
    "application/vnd.pgrst.plan+json;for=\"text/csv\";options=analyze|verbose",
    "application/geo+json",
    "application/octet-stream",
    "*/*",
    "text/*",
    ";q=0.5",
    ";charset=utf-8",
    ";columns=id,name",
    "items=0-9",
    "0-",
    "-5",
    "5-2",
    "0-18446744073709551615",
    "{\"a\":",
    "[{",
    "}]",
    "[]",
    "{}",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "a,b\n1,2\n",
    "\"a\"\"b\"",
    "\r\n",
    "NULL",
    "a=1&a=2"};

static const char *const WRAPS[][2] = {
    {"(", ")"},   {"and(", ")"}, {"not.or(", ")"}, {"clients(", ")"}, {"...tasks(", ")"},  {"in.(", ")"},
    {"\"", "\""}, {"{", "}"},    {"[", "]"},       {"{\"a\":", "}"},  {"alias:", "::text"}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t state;

static size_t dice(size_t bound)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (size_t)(state >> 33) % bound;
}

typedef struct {
    uint8_t *bytes;
    size_t size, capacity;
} text_t;

static bool is_mark(uint8_t c)
{
    return c != '\0' && strchr(MARKS, c) != NULL;
}

/* The token, or the mark, that begins or ends near a random place. */
static void pick(const text_t *text, size_t *from, size_t *to)
{
    *from = *to = dice(text->size + 1);
    while (*from > 0 && !is_mark(text->bytes[*from - 1]))
        (*from)--;
    while (*to < text->size && !is_mark(text->bytes[*to]))
        (*to)++;
    if (*to < text->size && dice(2) == 0)
        (*to)++;
}

/* Replaces [from, to) unless the result would not fit. */
static void replace(text_t *text, size_t from, size_t to, const void *with, size_t size)
{
    if (text->size - (to - from) + size > text->capacity)
        return;
    memmove(text->bytes + from + size, text->bytes + to, text->size - to);
    memcpy(text->bytes + from, with, size);
    text->size = text->size - (to - from) + size;
}

static void insert_word(text_t *text, size_t from, size_t to)
{
    const char *word = WORDS[dice(COUNT(WORDS))];
    replace(text, from, to, word, strlen(word));
}

static void repeat(text_t *text, size_t from, size_t to, size_t times)
{
    uint8_t copy[256];
    size_t size = to - from < sizeof(copy) ? to - from : sizeof(copy);
    memcpy(copy, text->bytes + from, size);
    for (size_t i = 0; i < times; i++)
        replace(text, from, from, copy, size);
}

static void wrap(text_t *text, size_t from, size_t to)
{
    const char *const *pair = WRAPS[dice(COUNT(WRAPS))];
    for (size_t times = dice(8) == 0 ? 12 : 1; times > 0; times--) {
        size_t before = text->size;
        replace(text, to, to, pair[1], strlen(pair[1]));
        replace(text, from, from, pair[0], strlen(pair[0]));
        to += text->size - before;
    }
}

static void move(text_t *text, size_t from, size_t to)
{
    uint8_t copy[256];
    size_t size = to - from < sizeof(copy) ? to - from : sizeof(copy), other, end;
    memcpy(copy, text->bytes + from, size);
    pick(text, &other, &end);
    replace(text, other, other, copy, size);
}

static void step(text_t *text)
{
    size_t from, to;
    pick(text, &from, &to);
    switch (dice(8)) {
    case 0:
        replace(text, from, to, "", 0);
        break;
    case 1:
    case 2:
        insert_word(text, from, to);
        break;
    case 3:
    case 4:
        insert_word(text, to, to);
        break;
    case 5:
        repeat(text, from, to, dice(16) == 0 ? 200 : 1);
        break;
    case 6:
        wrap(text, from, to);
        break;
    default:
        move(text, from, to);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed)
{
    state = seed;
    if (size <= CONTROL_BYTES || capacity <= CONTROL_BYTES || dice(2) == 0)
        return LLVMFuzzerMutate(data, size, capacity);
    if (dice(4) == 0)
        data[dice(CONTROL_BYTES)] = (uint8_t)dice(256);
    text_t text = {data + 1, size - 1, capacity - 1};
    for (size_t steps = 1 + dice(4); steps > 0; steps--)
        step(&text);
    return text.size + 1;
}
