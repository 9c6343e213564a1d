#include "base/chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char byte_at(size_t i)
{
    return (char)('a' + i % 23);
}

static void fill(char *to, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = byte_at(from + i);
}

/* Takes everything in lends of at most `max` bytes and compares. */
static void drain(chain_t *chain, size_t start, size_t max)
{
    size_t at = start;
    while (chain_len(chain) > 0) {
        str_t parts[3];
        size_t left = chain_len(chain), len = 0, count = chain_lend(chain, max, parts, 3);
        assert_in_range(count, 1, 3);
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < parts[i].len; j++)
                assert_int_equal(parts[i].base[j], byte_at(at + len + j));
            len += parts[i].len;
        }
        assert_in_range(len, 1, max);
        chain_drop(chain, len);
        assert_int_equal(chain_len(chain), left - len);
        at += len;
    }
    assert_null(chain->first);
}

static void bytes_come_out_as_they_went_in(void **state)
{
    (void)state;
    static const size_t SIZES[] = {0, 1, CHAIN_PIECE - 1, CHAIN_PIECE, CHAIN_PIECE + 1, 5 * CHAIN_PIECE + 7};
    char *bytes = malloc(6 * CHAIN_PIECE);
    fill(bytes, 0, 6 * CHAIN_PIECE);
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        for (size_t max = 100; max < 10 * CHAIN_PIECE; max = max * 37 + 1) {
            chain_t chain = {0};
            chain_append(&chain, str_make(bytes, SIZES[i]));
            assert_int_equal(chain_len(&chain), SIZES[i]);
            drain(&chain, 0, max);
        }
    }
    free(bytes);
}

/* Records of many sizes, some larger than a piece; whole ones lie in one piece. */
static void records_are_not_torn_apart(void **state)
{
    (void)state;
    chain_t chain = {0};
    size_t total = 0;
    for (size_t len = 1; len < 4 * CHAIN_PIECE; len += len / 3 + 1) {
        buf_t *tail = chain_tail(&chain);
        size_t before = tail->len;
        fill(buf_reserve(tail, len), total, len);
        tail->len += len;
        total += len;
        assert_ptr_equal(tail, &chain.last->bytes);
        assert_int_equal(tail->len, before + len);
        assert_int_equal(chain_len(&chain), total);
    }
    pool_t *pool = pool_create();
    str_t whole = chain_str(&chain, pool);
    assert_int_equal(whole.len, total);
    assert_int_equal(whole.base[total - 1], byte_at(total - 1));
    pool_destroy(pool);
    drain(&chain, 0, 3 * CHAIN_PIECE);
}

static void equal_records_do_not_make_pieces_grow(void **state)
{
    (void)state;
    static const size_t SIZES[] = {100, 838, 5000, 20000};
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        chain_t chain = {0};
        for (size_t n = 0; n < 300000 / SIZES[i]; n++) {
            buf_t *tail = chain_tail(&chain);
            memset(buf_reserve(tail, SIZES[i]), 'x', SIZES[i]);
            tail->len += SIZES[i];
        }
        for (chain_piece_t *piece = chain.first; piece != NULL; piece = piece->next)
            assert_true(piece->bytes.capacity <= CHAIN_PIECE);
        chain_clear(&chain);
    }
}

/* What is lent stays where it is while more is written. */
static void lent_bytes_do_not_move(void **state)
{
    (void)state;
    char *bytes = malloc(3 * CHAIN_PIECE);
    fill(bytes, 0, 3 * CHAIN_PIECE);
    chain_t chain = {0}, more = {0};
    str_t part;
    chain_append(&chain, str_make(bytes, 10));
    assert_int_equal(chain_lend(&chain, 10, &part, 1), 1);
    chain_append(&chain, str_make(bytes + 10, CHAIN_PIECE));
    chain_append(&more, str_make(bytes + 10 + CHAIN_PIECE, CHAIN_PIECE));
    chain_move(&chain, &more);
    assert_null(more.first);
    assert_int_equal(chain_len(&chain), 2 * CHAIN_PIECE + 10);
    assert_memory_equal(part.base, bytes, 10);
    chain_drop(&chain, part.len);
    drain(&chain, 10, 1000);
    chain_move(&chain, &more);
    assert_int_equal(chain_len(&chain), 0);
    free(bytes);
}

static void spares_that_nobody_needs_are_released(void **state)
{
    (void)state;
    char *bytes = calloc(20, CHAIN_PIECE);
    chain_t chain = {0}, small = {0};
    chain_append(&chain, str_make(bytes, 20 * CHAIN_PIECE));
    chain_clear(&chain);
    assert_in_range(chain_spare_bytes(), 19 * CHAIN_PIECE, 64 * CHAIN_PIECE);
    chain_release_spares(); /* they were in use until now */
    chain_append(&small, str_make(bytes, 12 * CHAIN_PIECE));
    chain_clear(&small);
    chain_release_spares(); /* twelve were in use */
    assert_in_range(chain_spare_bytes(), 11 * CHAIN_PIECE, 13 * CHAIN_PIECE);
    chain_release_spares();
    assert_in_range(chain_spare_bytes(), 1, 8 * CHAIN_PIECE);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in),        cmocka_unit_test(records_are_not_torn_apart),
        cmocka_unit_test(equal_records_do_not_make_pieces_grow), cmocka_unit_test(lent_bytes_do_not_move),
        cmocka_unit_test(spares_that_nobody_needs_are_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
