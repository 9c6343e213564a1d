/* Quoting: the only place that writes an identifier or a literal into SQL. */
#ifndef DB_IDENT_H
#define DB_IDENT_H

#include "base/buf.h"

/* "name" with quotes doubled, always quoted. NUL bytes cannot occur: callers refuse them first. */
void ident_append(buf_t *sql, str_t name);
/* "schema"."name" */
void ident_append_qualified(buf_t *sql, str_t schema, str_t name);
/* 'text' with quotes doubled and E'' when it has backslashes. Only for what cannot be a parameter. */
void ident_append_literal(buf_t *sql, str_t text);

#endif
