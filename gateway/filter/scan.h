/* Scanner with the error bookkeeping of a backtracking parser: the furthest failure wins, failures at the
 * same place join what they expected. That is what makes messages like `unexpected "x" expecting "asc" or
 * "desc"` possible and equal to the peer's. Positions are characters of UTF-8 text; the input must be valid
 * UTF-8.
 *
 * A rule returns false when it fails; it has "consumed" when scan->at moved from where the rule began. An
 * alternative may only be tried after a failure that did not consume, or inside scan_try. */
#ifndef FILTER_SCAN_H
#define FILTER_SCAN_H

#include "base/buf.h"
#include "base/pool.h"

#define SCAN_MESSAGES_MAX 24

typedef enum { SCAN_SYS_UNEXPECTED, SCAN_UNEXPECTED, SCAN_EXPECTED } scan_message_kind_t;

typedef struct {
    scan_message_kind_t kind;
    str_t text;        /* what was expected; null: `character` is */
    int32_t character; /* code point; of the unexpected ones -1 = end of input */
    bool is_quoted;    /* `text` is a literal, shown in quotes */
} scan_message_t;

typedef struct {
    size_t at; /* byte offset of the failure */
    uint8_t count;
    scan_message_t messages[SCAN_MESSAGES_MAX];
} scan_error_t;

typedef struct {
    pool_t *pool;
    str_t text;
    size_t at;
    uint16_t depth;     /* of recursive rules; their business */
    bool is_over_limit; /* a limit stopped the parse (limit_what says which) */
    const char *limit_what;
    bool is_quiet; /* only whether it parses is asked: `error` stays empty, which is several times quicker */
    scan_error_t error;
} scan_t;

void scan_init(scan_t *scan, pool_t *pool, str_t text);
void scan_init_quiet(scan_t *scan, pool_t *pool, str_t text);

/* Code point at the scanner, -1 at the end; `*size` its bytes. */
int32_t scan_peek(const scan_t *scan, size_t *size);
bool scan_at_end(const scan_t *scan);

/* Rules. */
bool scan_char(scan_t *scan, char c);
bool scan_literal(scan_t *scan, str_t literal); /* a failure after the first character has consumed */
bool scan_literal_nocase(scan_t *scan, const char *lower); /* ASCII, expects nothing by itself */
bool scan_one_of(scan_t *scan, const char *set);
bool scan_none_of(scan_t *scan, const char *set);
bool scan_letter(scan_t *scan); /* Unicode letter, expected "letter" */
bool scan_digit(scan_t *scan);  /* expected "digit" */
bool scan_any(scan_t *scan);
bool scan_eof(scan_t *scan);
void scan_spaces(scan_t *scan); /* blanks and tabs */

/* Goes on by so many bytes, which are known to fit. True. */
bool scan_take(scan_t *scan, size_t size);

/* `any number of characters not in set` without allocating. */
str_t scan_while_none_of(scan_t *scan, const char *set);

/* "quoted \"text\"": unescaped into the pool when it has backslashes, else borrowed. */
bool scan_quoted(scan_t *scan, str_t *out);
/* Letters, digits, '_', '$' and blanks; trimmed. */
bool scan_identifier(scan_t *scan, str_t *out);
/* A quoted text that is followed by ',' , ')' or the end; otherwise everything up to those. Never fails. */
void scan_element(scan_t *scan, str_t *out);

/* Checkpoint for try, label and look-ahead: taken before a rule runs, settled after it. */
typedef struct {
    size_t at;
    scan_error_t error;
} scan_mark_t;

void scan_mark(scan_t *scan, scan_mark_t *mark);
/* try: a failed rule has not consumed. Returns `ok`. */
bool scan_settle_try(scan_t *scan, const scan_mark_t *mark, bool ok);
/* label: what the rule expected at its very beginning is called `label`. Returns `ok`. */
bool scan_settle_label(scan_t *scan, const scan_mark_t *mark, bool ok, const char *label);
/* look ahead: a success consumes nothing. Returns `ok`. */
bool scan_settle_ahead(scan_t *scan, const scan_mark_t *mark, bool ok);
/* not followed by: inverts; never consumes. `c` is the code point that must not be there. */
bool scan_settle_not_ahead(scan_t *scan, const scan_mark_t *mark, bool ok);

/* The failure as text: `(line 1, column 4)` and `unexpected "c" expecting ...`. */
str_t scan_error_position(const scan_t *scan, pool_t *pool);
str_t scan_error_text(const scan_t *scan, pool_t *pool);

#endif
