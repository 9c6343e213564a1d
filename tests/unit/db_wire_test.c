/* Our own speaker of the protocol, against a peer that is played byte for byte. */
#include "db/binary_text.h"
#include "db/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    int peer, own;
    wire_scratch_t scratch;
    wire_t *wire;
    wire_event_t event;
} scene_t;

static void begin(scene_t *scene)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    *scene = (scene_t){.peer = pair[0], .own = pair[1]};
    wire_scratch_init(&scene->scratch);
    scene->wire = wire_v3_create(scene->own, NULL, &scene->scratch);
}

static void end(scene_t *scene)
{
    wire_close(scene->wire);
    wire_scratch_dispose(&scene->scratch);
    close(scene->peer);
    close(scene->own);
}

static void says(scene_t *scene, const void *bytes, size_t len)
{
    assert_int_equal(send(scene->peer, bytes, len, 0), len);
}
#define SAYS(scene, literal) says((scene), (literal), sizeof(literal) - 1)

static void message(scene_t *scene, char type, const void *body, size_t len)
{
    const unsigned char head[] = {(unsigned char)type, 0, 0, (unsigned char)((len + 4) >> 8),
                                  (unsigned char)(len + 4)};
    says(scene, head, sizeof(head));
    says(scene, body, len);
}
#define MESSAGE(scene, type, literal) message((scene), (type), (literal), sizeof(literal) - 1)

/* Reads once, as the loop does, when nothing whole is there. */
static wire_event_kind_t next(scene_t *scene)
{
    wire_next(scene->wire, &scene->event);
    if (scene->event.kind != WIRE_WAIT)
        return scene->event.kind;
    if (wire_read(scene->wire) == WIRE_READ_ENDED)
        return WIRE_BROKEN;
    wire_next(scene->wire, &scene->event);
    return scene->event.kind;
}

static void null_is_not_the_empty_value(void **state)
{
    (void)state;
    scene_t scene;
    begin(&scene);
    MESSAGE(&scene, '2', "");
    MESSAGE(&scene, 'T', "\0\1a\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0");
    MESSAGE(&scene, 'D', "\0\3\0\0\0\1x\xff\xff\xff\xff\0\0\0\0");
    MESSAGE(&scene, 'C', "SELECT 1\0");
    MESSAGE(&scene, 'Z', "I");
    assert_int_equal(next(&scene), WIRE_COLUMNS);
    assert_int_equal(scene.event.count, 1);
    assert_true(str_eq(scene.event.columns[0].name, STR("a")));
    assert_int_equal(scene.event.columns[0].type_oid, 23);
    assert_int_equal(next(&scene), WIRE_ROW);
    assert_int_equal(scene.event.count, 3);
    assert_true(str_eq(scene.event.values[0], STR("x")));
    assert_true(str_is_null(scene.event.values[1]));
    assert_false(str_is_null(scene.event.values[2]));
    assert_int_equal(scene.event.values[2].len, 0);
    assert_int_equal(next(&scene), WIRE_DONE);
    assert_true(str_eq(scene.event.tag, STR("SELECT 1")));
    assert_int_equal(next(&scene), WIRE_SYNC);
    assert_int_equal(next(&scene), WIRE_WAIT);
    end(&scene);
}

static void a_message_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char bytes[] = "D\0\0\0\xb\0\1\0\0\0\1x";
    scene_t scene;
    begin(&scene);
    for (size_t i = 0; i + 2 < sizeof(bytes); i++) {
        says(&scene, bytes + i, 1);
        assert_int_equal(next(&scene), WIRE_WAIT);
    }
    says(&scene, "x", 1);
    assert_int_equal(next(&scene), WIRE_ROW);
    assert_true(str_eq(scene.event.values[0], STR("x")));
    end(&scene);
}

static void errors_have_all_their_fields(void **state)
{
    (void)state;
    scene_t scene;
    begin(&scene);
    MESSAGE(&scene, 'E', "SFEHLER\0VERROR\0C23505\0Mtwice\0Done\0Htry\0P17\0Wwhere\0Rcheck\0F.c\0L9\0\0");
    assert_int_equal(next(&scene), WIRE_ERROR);
    assert_true(str_eq(scene.event.error.severity, STR("ERROR")));
    assert_true(str_eq(scene.event.error.sqlstate, STR("23505")));
    assert_true(str_eq(scene.event.error.message, STR("twice")));
    assert_true(str_eq(scene.event.error.details, STR("one")));
    assert_true(str_eq(scene.event.error.hint, STR("try")));
    assert_true(str_eq(scene.event.error.function, STR("check")));
    end(&scene);
}

static void what_nobody_asked_for_is_passed_over(void **state)
{
    (void)state;
    scene_t scene;
    begin(&scene);
    MESSAGE(&scene, 'N', "SNOTICE\0\0");
    MESSAGE(&scene, 'A', "\0\0\0\7chan\0pay\0");
    MESSAGE(&scene, 'S', "TimeZone\0UTC\0");
    MESSAGE(&scene, '1', "");
    assert_int_equal(next(&scene), WIRE_PREPARED);
    end(&scene);
}

static void what_does_not_add_up_breaks_the_connection(void **state)
{
    (void)state;
    static const struct {
        char type;
        const char *body;
        size_t len;
    } rows[] = {
#define BODY(type, literal) {type, literal, sizeof(literal) - 1}
        BODY('D', "\0"),
        BODY('D', "\0\1"),
        BODY('D', "\xff\xff\0\0\0\0"),
        BODY('D', "\0\1\0\0\0\2x"),
        BODY('D', "\0\1\xff\xff\xff\xfex"),
        BODY('D', "\0\1\x7f\xff\xff\xffx"),
        BODY('D', "\0\1\0\0\0\1xy"),
        BODY('D', "\0\2\0\0\0\4abcd"),
        BODY('T', "\0\1a\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0"),
        BODY('T', "\0\1aaaaaaaaaaaaaaaaaaaa"),
        BODY('T', "\xff\xff"),
        BODY('C', "SELE"),
        BODY('E', "Mabc"),
        BODY('E', "Mabc\0"),
        BODY('E', "Mabc\0\0\0"),
        BODY('S', "x\0"),
        BODY('?', ""),
#undef BODY
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        scene_t scene;
        begin(&scene);
        message(&scene, rows[i].type, rows[i].body, rows[i].len);
        if (next(&scene) != WIRE_BROKEN || strstr(wire_reason(scene.wire), "malformed") == NULL)
            fail_msg("row %zu: %d %s", i, scene.event.kind, wire_reason(scene.wire));
        end(&scene);
    }
}

static void an_impossible_length_breaks_the_connection(void **state)
{
    (void)state;
    static const char *const heads[] = {"D\0\0\0\3", "D\x7f\xff\xff\xff", "D\xff\xff\xff\xff", "C\0\1\0\0"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        scene_t scene;
        begin(&scene);
        says(&scene, heads[i], 5);
        assert_int_equal(next(&scene), WIRE_BROKEN);
        assert_non_null(strstr(wire_reason(scene.wire), "impossible length"));
        end(&scene);
    }
}

static void a_copy_cannot_be_answered(void **state)
{
    (void)state;
    scene_t scene;
    begin(&scene);
    MESSAGE(&scene, 'G', "\0\0\0");
    assert_int_equal(next(&scene), WIRE_BROKEN);
    assert_non_null(strstr(wire_reason(scene.wire), "COPY"));
    end(&scene);
}

static void a_large_row_takes_memory_as_it_comes_and_gives_it_back(void **state)
{
    (void)state;
    enum { VALUE = 3000000 };
    static char piece[16384];
    scene_t scene;
    begin(&scene);
    memset(piece, 'v', sizeof(piece));
    says(&scene, "D\0\x2d\xc6\xca\0\1\0\x2d\xc6\xc0", 11);
    assert_int_equal(next(&scene), WIRE_WAIT);
    for (size_t sent = 0; sent < VALUE;) {
        size_t len = VALUE - sent < sizeof(piece) ? VALUE - sent : sizeof(piece);
        says(&scene, piece, len);
        sent += len;
        while (wire_read(scene.wire) == WIRE_READ_MORE) {
        }
        wire_next(scene.wire, &scene.event);
        assert_int_equal(scene.event.kind, sent < VALUE ? WIRE_WAIT : WIRE_ROW);
        assert_true(wire_v3_memory(scene.wire) <= 2 * (sent + WIRE_READ_BYTES)); /* not as is promised */
    }
    assert_int_equal(scene.event.values[0].len, VALUE);
    SAYS(&scene, "D\0\0\0\xb\0\1\0\0\0\1");
    assert_int_equal(next(&scene), WIRE_WAIT);
    assert_true(wire_v3_memory(scene.wire) <= WIRE_READ_BYTES);
    SAYS(&scene, "x");
    assert_int_equal(next(&scene), WIRE_ROW);
    assert_int_equal(next(&scene), WIRE_WAIT);
    assert_int_equal(wire_v3_memory(scene.wire), 0);
    end(&scene);
}

static void what_came_before_the_end_is_still_read(void **state)
{
    (void)state;
    scene_t scene;
    begin(&scene);
    SAYS(&scene, "Z\0\0\0\5I");
    assert_int_equal(wire_read(scene.wire), WIRE_READ_SOME);
    shutdown(scene.peer, SHUT_WR);
    assert_int_equal(wire_read(scene.wire), WIRE_READ_ENDED);
    assert_int_equal(next(&scene), WIRE_SYNC);
    assert_non_null(strstr(wire_reason(scene.wire), "closed the connection"));
    end(&scene);
}

static void statements_have_the_form_of_the_protocol(void **state)
{
    (void)state;
    static const uint32_t types[] = {23, 25};
    static const str_t params[] = {STR("7"), STR_NULL};
    static const char expected[] = "P\0\0\0\x1fs1\0select $1, $2\0\0\2\0\0\0\x17\0\0\0\x19"
                                   "B\0\0\0\x17\0s1\0\0\0\0\2\0\0\0\1"
                                   "7\xff\xff\xff\xff\0\0"
                                   "D\0\0\0\6P\0"
                                   "E\0\0\0\x9\0\0\0\0\0"
                                   "P\0\0\0\x10\0select 1\0\0\0"
                                   "B\0\0\0\xc\0\0\0\0\0\0\0\0"
                                   "E\0\0\0\x9\0\0\0\0\0"
                                   "S\0\0\0\4";
    db_stmt_t prepared = {.sql = STR("select $1, $2"), .params = params, .types = types, .param_count = 2};
    db_stmt_t cut = {.sql = STR("select 1\0; drop table t")}; /* nothing is read behind the end of the text */
    char got[512];
    scene_t scene;
    begin(&scene);
    assert_true(wire_prepare(scene.wire, "s1", &prepared));
    assert_true(wire_execute(scene.wire, "s1", &prepared, true, NULL));
    assert_true(wire_execute(scene.wire, NULL, &cut, false, NULL));
    assert_true(wire_sync(scene.wire));
    assert_true(recv(scene.peer, got, sizeof(got), MSG_DONTWAIT) < 0); /* gathered only */
    assert_int_equal(wire_flush(scene.wire), WIRE_FLUSHED);
    assert_int_equal(recv(scene.peer, got, sizeof(got), 0), sizeof(expected) - 1);
    assert_memory_equal(got, expected, sizeof(expected) - 1);
    end(&scene);
}

static void columns_are_asked_for_in_binary_one_by_one(void **state)
{
    (void)state;
    static const char expected[] = "B\0\0\0\x12\0s1\0\0\0\0\0\0\2\0\1\0\0"
                                   "E\0\0\0\x9\0\0\0\0\0";
    uint8_t is_binary[] = {1, 0};
    stmt_formats_t formats = {.is_binary = is_binary, .count = 2, .binary_count = 1};
    db_stmt_t stmt = {.sql = STR("select now(), 1")};
    char got[64], text[BINARY_TEXT_MAX];
    scene_t scene;
    begin(&scene);
    assert_true(wire_execute(scene.wire, "s1", &stmt, false, &formats));
    assert_int_equal(wire_flush(scene.wire), WIRE_FLUSHED);
    assert_int_equal(recv(scene.peer, got, sizeof(got), 0), sizeof(expected) - 1);
    assert_memory_equal(got, expected, sizeof(expected) - 1);
    end(&scene);
    assert_int_equal(binary_to_text(text, 2950, STR("fifteen bytes..")), 0);
    assert_int_equal(binary_to_text(text, 1184, STR("nine byte")), 0);
}

static void a_full_socket_takes_the_rest_later(void **state)
{
    (void)state;
    static char value[4000000], got[65536];
    str_t param = str_make(value, sizeof(value));
    db_stmt_t stmt = {.params = &param, .param_count = 1};
    size_t total = 0;
    scene_t scene;
    begin(&scene);
    memset(value, 'v', sizeof(value));
    assert_true(wire_execute(scene.wire, "s1", &stmt, false, NULL));
    assert_int_equal(wire_flush(scene.wire), WIRE_PENDING);
    for (wire_flush_t flushed = WIRE_PENDING; flushed == WIRE_PENDING; flushed = wire_flush(scene.wire))
        for (ssize_t n; (n = recv(scene.peer, got, sizeof(got), MSG_DONTWAIT)) > 0;)
            total += (size_t)n;
    for (ssize_t n; (n = recv(scene.peer, got, sizeof(got), MSG_DONTWAIT)) > 0;)
        total += (size_t)n;
    assert_int_equal(total, 5 + 1 + 3 + 2 + 2 + 4 + sizeof(value) + 2 + 10);
    assert_int_equal(wire_v3_memory(scene.wire), 0);
    close(scene.peer);
    scene.peer = -1;
    assert_true(wire_sync(scene.wire));
    assert_int_equal(wire_flush(scene.wire), WIRE_LOST); /* and no signal */
    end(&scene);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static str_t params[65536];
    str_t huge = {"", ((size_t)1 << 30) + 1};
    db_stmt_t many = {.params = params, .param_count = 65536}, large = {.params = &huge, .param_count = 1};
    scene_t scene;
    begin(&scene);
    assert_false(wire_execute(scene.wire, "s1", &many, false, NULL));
    assert_false(wire_execute(scene.wire, "s1", &large, false, NULL));
    assert_non_null(strstr(wire_reason(scene.wire), "too large"));
    end(&scene);
}

/* Cut anywhere, what follows it is understood. */
static void a_row_that_nobody_wants_is_skipped(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    char *row = calloc(1, LEN + 11);
    memcpy(row, "D\0\1\x86\xaa\0\1\0\1\x86\xa0", 11); /* 100010 bytes, of which 100000 are the value */
    static const size_t CUTS[] = {5, 11, 50000, LEN + 10};
    for (size_t i = 0; i < sizeof(CUTS) / sizeof(CUTS[0]); i++) {
        scene_t scene;
        begin(&scene);
        says(&scene, row, CUTS[i]);
        while (wire_read(scene.wire) == WIRE_READ_MORE)
            wire_next(scene.wire, &scene.event);
        assert_int_equal(next(&scene), WIRE_WAIT);
        assert_int_equal(scene.event.bytes, LEN + 11);
        wire_skip(scene.wire);
        assert_int_equal(wire_v3_memory(scene.wire), 0);
        says(&scene, row + CUTS[i], LEN + 11 - CUTS[i]);
        MESSAGE(&scene, 'D', "\0\1\0\0\0\1x");
        MESSAGE(&scene, 'C', "SELECT 2\0");
        for (int reads = 0; reads < 100 && next(&scene) == WIRE_WAIT; reads++)
            assert_true(wire_v3_memory(scene.wire) <= WIRE_READ_BYTES);
        assert_int_equal(scene.event.kind, WIRE_ROW);
        assert_true(str_eq(scene.event.values[0], STR("x")));
        assert_int_equal(next(&scene), WIRE_DONE);
        end(&scene);
    }
    free(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_not_the_empty_value),
        cmocka_unit_test(a_row_that_nobody_wants_is_skipped),
        cmocka_unit_test(a_message_may_come_byte_by_byte),
        cmocka_unit_test(errors_have_all_their_fields),
        cmocka_unit_test(what_nobody_asked_for_is_passed_over),
        cmocka_unit_test(what_does_not_add_up_breaks_the_connection),
        cmocka_unit_test(an_impossible_length_breaks_the_connection),
        cmocka_unit_test(a_copy_cannot_be_answered),
        cmocka_unit_test(a_large_row_takes_memory_as_it_comes_and_gives_it_back),
        cmocka_unit_test(what_came_before_the_end_is_still_read),
        cmocka_unit_test(statements_have_the_form_of_the_protocol),
        cmocka_unit_test(columns_are_asked_for_in_binary_one_by_one),
        cmocka_unit_test(a_full_socket_takes_the_rest_later),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
