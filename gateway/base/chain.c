#include "base/chain.h"

#include <malloc.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(base, len) ((void)(base), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(base, len) ((void)(base), (void)(len))
#endif

enum {
    SMALL_BYTES = 4096, /* what most answers fit in */
    SPARES_MAX = 256,
    SPARES_KEPT = 8, /* however long nobody needs them */
    TRIM_FROM = 16,  /* pieces released at once that are worth the system's time */
    ROOM_MIN = 4096  /* less is not worth looking at */
};

/* A stack, so that what lies at its bottom is what is not needed. */
static struct {
    chain_piece_t *first;
    size_t count, bytes;
    size_t count_min; /* since the last release */
} spares;

/* ---- pieces ---- */

static chain_piece_t *take_piece(size_t capacity)
{
    chain_piece_t *piece = spares.first;
    if (piece != NULL) {
        spares.first = piece->next;
        spares.bytes -= piece->bytes.capacity;
        if (--spares.count < spares.count_min)
            spares.count_min = spares.count;
        ASAN_UNPOISON_MEMORY_REGION(piece->bytes.base, piece->bytes.capacity);
    } else if ((piece = calloc(1, sizeof(*piece))) == NULL) {
        abort();
    }
    piece->next = NULL;
    if (piece->bytes.capacity < capacity) {
        buf_dispose(&piece->bytes);
        buf_init(&piece->bytes, NULL, capacity);
    }
    return piece;
}

static void free_piece(chain_piece_t *piece)
{
    ASAN_UNPOISON_MEMORY_REGION(piece->bytes.base, piece->bytes.capacity);
    buf_dispose(&piece->bytes);
    free(piece);
}

static void give_piece(chain_piece_t *piece)
{
    if (spares.count == SPARES_MAX || piece->bytes.capacity > CHAIN_PIECE) {
        free_piece(piece);
        return;
    }
    buf_clear(&piece->bytes);
    ASAN_POISON_MEMORY_REGION(piece->bytes.base, piece->bytes.capacity);
    piece->next = spares.first;
    spares.first = piece;
    spares.count++;
    spares.bytes += piece->bytes.capacity;
}

void chain_release_spares(void)
{
    size_t kept = spares.count - spares.count_min, released = 0;
    chain_piece_t **link = &spares.first;
    if (kept < SPARES_KEPT)
        kept = SPARES_KEPT;
    for (size_t i = 0; i < kept && *link != NULL; i++)
        link = &(*link)->next;
    chain_piece_t *piece = *link;
    *link = NULL;
    while (piece != NULL) {
        chain_piece_t *next = piece->next;
        spares.bytes -= piece->bytes.capacity;
        free_piece(piece);
        piece = next;
        released++;
    }
    spares.count -= released;
    spares.count_min = spares.count;
    if (released >= TRIM_FROM)
        malloc_trim(0);
}

size_t chain_spare_bytes(void)
{
    return spares.bytes;
}

/* ---- writing ---- */

static void add_piece(chain_t *chain, chain_piece_t *piece)
{
    if (chain->last != NULL) {
        chain->before += chain->last->bytes.len;
        chain->last->next = piece;
    } else {
        chain->first = piece;
    }
    chain->last = piece;
    chain->is_sealed = false;
}

static buf_t *new_tail(chain_t *chain)
{
    add_piece(chain, take_piece(chain->last != NULL ? CHAIN_PIECE : SMALL_BYTES));
    chain->mark = 0;
    return &chain->last->bytes;
}

/* Another record like the last one should fit, or the piece would grow for it. */
buf_t *chain_tail(chain_t *chain)
{
    if (chain->last == NULL || chain->is_sealed)
        return new_tail(chain);
    buf_t *tail = &chain->last->bytes;
    size_t room = tail->len < CHAIN_PIECE ? CHAIN_PIECE - tail->len : 0;
    if (room < ROOM_MIN || room < 2 * (tail->len - chain->mark))
        return new_tail(chain);
    chain->mark = tail->len;
    return tail;
}

void chain_append(chain_t *chain, str_t bytes)
{
    while (bytes.len > 0) {
        buf_t *tail = chain->last == NULL || chain->is_sealed || chain->last->bytes.len >= CHAIN_PIECE
                          ? new_tail(chain)
                          : &chain->last->bytes;
        str_t part = str_slice(bytes, 0, CHAIN_PIECE - tail->len);
        buf_append_str(tail, part);
        chain->mark = tail->len;
        bytes = str_slice(bytes, part.len, bytes.len);
    }
}

void chain_move(chain_t *chain, chain_t *from)
{
    if (from->last == NULL)
        return;
    if (chain->last == NULL) {
        *chain = *from;
    } else {
        chain_piece_t *last = from->last;
        size_t before = chain->before + chain->last->bytes.len + from->before;
        chain->last->next = from->first;
        chain->last = last;
        chain->before = before;
        chain->mark = from->mark;
        chain->is_sealed = from->is_sealed;
    }
    *from = (chain_t){0};
}

/* ---- reading ---- */

size_t chain_lend(chain_t *chain, size_t max, str_t *parts, size_t count)
{
    size_t n = 0, at = chain->taken;
    for (chain_piece_t *piece = chain->first; piece != NULL && n < count && max > 0; piece = piece->next) {
        str_t part = str_slice(str_slice(buf_str(&piece->bytes), at, SIZE_MAX), 0, max);
        at = 0;
        if (piece == chain->last)
            chain->is_sealed = true;
        if (part.len == 0)
            continue;
        parts[n++] = part;
        max -= part.len;
    }
    return n;
}

str_t chain_str(const chain_t *chain, pool_t *pool)
{
    if (chain->last == NULL)
        return STR("");
    if (chain->first == chain->last)
        return str_slice(buf_str(&chain->last->bytes), chain->taken, SIZE_MAX);
    buf_t out;
    buf_init(&out, pool, chain_len(chain));
    size_t at = chain->taken;
    for (const chain_piece_t *piece = chain->first; piece != NULL; piece = piece->next, at = 0)
        buf_append_str(&out, str_slice(buf_str(&piece->bytes), at, SIZE_MAX));
    return buf_str(&out);
}

void chain_drop(chain_t *chain, size_t len)
{
    chain->taken += len;
    while (chain->first != chain->last && chain->taken >= chain->first->bytes.len) {
        chain_piece_t *piece = chain->first;
        chain->taken -= piece->bytes.len;
        chain->before -= piece->bytes.len;
        chain->first = piece->next;
        give_piece(piece);
    }
    if (chain->last != NULL && chain->first == chain->last && chain->taken >= chain->last->bytes.len)
        chain_clear(chain);
}

void chain_clear(chain_t *chain)
{
    while (chain->first != NULL) {
        chain_piece_t *piece = chain->first;
        chain->first = piece->next;
        give_piece(piece);
    }
    *chain = (chain_t){0};
}
