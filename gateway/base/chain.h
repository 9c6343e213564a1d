/* Bytes that are written at the end and taken from the front, in pieces: what grows long is never moved,
 * weighs little more than its bytes, and is given back from the front on. The pieces of ended chains serve
 * the next ones, for under load the memory of a long answer, mapped and cleared page by page, costs a quarter
 * of it. One thread only: the loop's. */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include "base/buf.h"

#define CHAIN_PIECE ((size_t)64 * 1024) /* larger only where one write did not fit */

typedef struct chain_piece {
    struct chain_piece *next;
    buf_t bytes;
} chain_piece_t;

/* All zero: empty. */
typedef struct {
    chain_piece_t *first, *last;
    size_t before;  /* bytes of all pieces but the last */
    size_t taken;   /* bytes of the first that are gone */
    size_t mark;    /* of the last, when it was asked for */
    bool is_sealed; /* the last is lent out: nothing may be written to it */
} chain_t;

/* Where to append what may not be torn apart: at most one record, then ask again. */
buf_t *chain_tail(chain_t *chain);

/* Appends a copy, torn apart where it does not fit. */
void chain_append(chain_t *chain, str_t bytes);

/* Appends all that `from` has, of which nothing was taken yet; `from` is empty then. */
void chain_move(chain_t *chain, chain_t *from);

static inline size_t chain_len(const chain_t *chain)
{
    return chain->last == NULL ? 0 : chain->before + chain->last->bytes.len - chain->taken;
}

/* Lends up to `max` bytes from the front as at most `count` parts, until they are dropped. Gives the number
 * of parts. */
size_t chain_lend(chain_t *chain, size_t max, str_t *parts, size_t count);

/* Takes `len` bytes from the front. */
void chain_drop(chain_t *chain, size_t len);

/* All bytes in one: borrowed from the chain, or copied into `pool` where they are in several pieces. */
str_t chain_str(const chain_t *chain, pool_t *pool);

/* Takes everything; the chain may be written to again. */
void chain_clear(chain_t *chain);

/* Called about once a second: pieces that nobody needed since the last call go back to the system. */
void chain_release_spares(void);
size_t chain_spare_bytes(void); /* kept for the next chains */

#endif
