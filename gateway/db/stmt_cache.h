/* Which statements one connection has prepared: bounded, least recently used first out.
 * Names are never used twice on a connection, so a name that the server lost cannot mean something else. */
#ifndef DB_STMT_CACHE_H
#define DB_STMT_CACHE_H

#include "base/buf.h"
#include "db/tx.h"

typedef enum {
    STMT_STATE_SENT,  /* Parse is on its way; later segments may rely on it and are retried should it fail */
    STMT_STATE_READY, /* the server has confirmed it */
    STMT_STATE_DEAD   /* out of the table; lives until the last segment that named it has ended */
} stmt_state_t;

/* A statement used by several roles would be planned anew at each change, so the role is part of the key.
 * `text` may be anything that stands for exactly one statement. */
typedef struct {
    uint64_t hash; /* of all three */
    str_t text, role, search_path;
} stmt_key_t;

/* Which columns come in binary because their text is dear for the server. */
typedef struct {
    uint8_t *is_binary; /* 0 or 1 for each of `count` columns */
    size_t count, binary_count;
} stmt_formats_t;

typedef struct stmt_entry {
    stmt_state_t state;
    char name[12];
    size_t pins;       /* segments in flight that name it */
    stmt_key_t key;    /* owned */
    bool is_described; /* what it returns is known, and cannot change under this name */
    bool has_rows;     /* it returns rows, of these columns (owned) */
    const db_column_t *columns;
    size_t column_count;
    stmt_formats_t formats;         /* that may be asked for */
    struct stmt_entry *prev, *next; /* by use, newest first */
    struct stmt_entry *chain;       /* of its bucket */
} stmt_entry_t;

typedef struct stmt_cache stmt_cache_t;

stmt_cache_t *stmt_cache_create(size_t entries_max);
void stmt_cache_destroy(stmt_cache_t *cache);

/* Borrows the strings; `text_hash` is str_hash(text). */
stmt_key_t stmt_cache_key(uint64_t text_hash, str_t text, str_t role, str_t search_path);

/* Finds and marks as used; NULL when absent. */
stmt_entry_t *stmt_cache_find(stmt_cache_t *cache, const stmt_key_t *key);
/* A new entry in state SENT with a fresh name; `key` is copied. */
stmt_entry_t *stmt_cache_add(stmt_cache_t *cache, const stmt_key_t *key);

/* Remembers what it returns: `columns` are copied; NULL: no rows. Only the first time counts. */
void stmt_entry_describe(stmt_entry_t *entry, const db_column_t *columns, size_t count);

void stmt_cache_pin(stmt_entry_t *entry);
void stmt_cache_unpin(stmt_entry_t *entry); /* frees it when dead and no longer pinned */

/* Takes it out of the table: its Parse failed, the server forgot it, or its plan is stale. With `must_close`
 * the server still has the name: it is queued for DEALLOCATE. */
void stmt_cache_drop(stmt_cache_t *cache, stmt_entry_t *entry, bool must_close);
/* Drops all, with or without closing them in the server. */
void stmt_cache_clear(stmt_cache_t *cache, bool must_close);
/* Drops entries beyond the bound, except those in flight. */
void stmt_cache_trim(stmt_cache_t *cache);

/* Appends one "DEALLOCATE name" per call for what was dropped with must_close; false when there is none left.
 */
bool stmt_cache_next_close(stmt_cache_t *cache, buf_t *sql);
size_t stmt_cache_count(const stmt_cache_t *cache);

#endif
