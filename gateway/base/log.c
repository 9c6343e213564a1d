#include "base/log.h"

#include "base/clock.h"
#include "base/emit.h"
#include "base/metrics.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define FIELD_MAX_BYTES 6144
#define LINE_RESERVE 64 /* room kept for the mark of a cut line */

static const char *const LEVEL_NAMES[] = {"error", "warn", "info", "debug"};
static _Atomic int current_level = LOG_INFO;
static _Atomic int output_fd = STDERR_FILENO;

void log_set_level(log_level_t level)
{
    atomic_store(&current_level, level);
}

log_level_t log_level(void)
{
    return (log_level_t)atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool log_level_parse(str_t name, log_level_t *out)
{
    for (log_level_t level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (str_eq_nocase(name, str_from_c(LEVEL_NAMES[level]))) {
            *out = level;
            return true;
        }
    }
    if (!str_eq_nocase(name, STR("crit")))
        return false;
    *out = LOG_ERROR;
    return true;
}

void log_set_fd(int fd)
{
    atomic_store(&output_fd, fd);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool contains_nocase(str_t text, str_t lower)
{
    for (size_t i = 0; i + lower.len <= text.len; i++)
        if (str_eq_nocase(str_slice(text, i, i + lower.len), lower))
            return true;
    return false;
}

/* Names whose values never appear in a log. */
static bool is_secret_name(str_t name)
{
    static const char *const words[] = {"password",    "passwd",      "passphrase",   "pwd",    "secret",
                                        "token",       "apikey",      "api_key",      "cookie", "api-key",
                                        "private_key", "encrypt_key", "authorization"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (contains_nocase(name, str_from_c(words[i])))
            return true;
    return false;
}

/* The name that ends right before the separator at `at`, across a closing quote and blanks. */
static str_t name_before(str_t text, size_t at)
{
    size_t end = at;
    while (end > 0 && (text.base[end - 1] == ' ' || text.base[end - 1] == '"' || text.base[end - 1] == '\'' ||
                       text.base[end - 1] == '\\'))
        end--;
    size_t from = end;
    while (from > 0 && is_word(text.base[from - 1]))
        from--;
    return str_slice(text, from, end);
}

/* Where the value that starts at `at` ends: at its closing quote, or at the next delimiter. */
static size_t value_end(str_t text, size_t at, char quote)
{
    if (quote == '\0') {
        while (at < text.len && strchr(" \t\r\n&;,}\"'", text.base[at]) == NULL)
            at++;
        return at;
    }
    while (at < text.len && text.base[at] != quote)
        at += text.base[at] == '\\' ? 2 : 1;
    return at < text.len ? at : text.len;
}

/* After `name=` or `"name": ` of a secret: writes the separator and the mask, returns where the value ends.
 */
static size_t mask_value(buf_t *out, str_t text, size_t separator)
{
    size_t at = separator + 1;
    char quote = '\0';
    while (at < text.len && (text.base[at] == ' ' || text.base[at] == '\\'))
        at++;
    if (at < text.len && (text.base[at] == '"' || text.base[at] == '\''))
        quote = text.base[at++];
    buf_append_str(out, str_slice(text, separator, at));
    size_t end = value_end(text, at, quote);
    /* "Authorization: Bearer x": the scheme is a word of the value */
    str_t first = str_slice(text, at, end);
    if (quote == '\0' && (str_eq_nocase(first, STR("bearer")) || str_eq_nocase(first, STR("basic"))) &&
        end < text.len)
        end = value_end(text, end + 1, '\0');
    if (end > at)
        buf_append_lit(out, "<redacted>");
    return end;
}

/* "scheme://user:password@host": returns where the password ends, having written up to the mask; 0 if none.
 */
static size_t mask_url(buf_t *out, str_t text, size_t at)
{
    size_t from = at + 3, colon = SIZE_MAX, last_at = SIZE_MAX;
    for (size_t i = from; i < text.len && strchr("/?# \t\r\n\"'", text.base[i]) == NULL; i++) {
        if (text.base[i] == ':' && colon == SIZE_MAX)
            colon = i;
        if (text.base[i] == '@')
            last_at = i;
    }
    if (last_at == SIZE_MAX || colon == SIZE_MAX || colon > last_at)
        return 0;
    buf_append_str(out, str_slice(text, at, colon + 1));
    buf_append_lit(out, "<redacted>");
    return last_at;
}

/* A JWT or the word after "Bearer "; returns its end or 0. */
static size_t mask_token(buf_t *out, str_t text, size_t at)
{
    str_t rest = str_slice(text, at, text.len);
    bool is_word_start = at == 0 || !is_word(text.base[at - 1]);
    if (!is_word_start)
        return 0;
    size_t end = at;
    if (str_starts_with(rest, STR("eyJ"))) {
        while (end < text.len && (is_word(text.base[end]) || text.base[end] == '.'))
            end++;
        if (str_find_char(str_slice(text, at, end), '.', 0) == SIZE_MAX && end - at < 20)
            return 0;
    } else if (str_eq_nocase(str_slice(rest, 0, 7), STR("bearer "))) {
        buf_append_str(out, str_slice(rest, 0, 7));
        end = value_end(text, at + 7, '\0');
    } else {
        return 0;
    }
    buf_append_lit(out, "<redacted>");
    return end;
}

static void redact_into(buf_t *out, str_t text)
{
    size_t at = 0;
    while (at < text.len) {
        char c = text.base[at];
        size_t end = 0;
        if (c == 'e' || c == 'B' || c == 'b')
            end = mask_token(out, text, at);
        else if (c == ':' && str_starts_with(str_slice(text, at, text.len), STR("://")))
            end = mask_url(out, text, at);
        else if ((c == '=' || c == ':') && is_secret_name(name_before(text, at)))
            end = mask_value(out, text, at);
        if (end != 0)
            at = end;
        else
            buf_append_char(out, text.base[at++]);
    }
}

str_t log_redact(pool_t *pool, str_t text)
{
    buf_t out;
    buf_init(&out, pool, text.len + 16);
    redact_into(&out, text);
    return buf_str(&out);
}

/* Bytes that are no UTF-8 would make the line unreadable: each becomes '?'. */
static void make_ascii(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80)
            text[i] = '?';
}

static void write_text_field(emit_t *emit, buf_t *scratch, const observe_field_t *field)
{
    if (is_secret_name(str_from_c(field->name))) {
        emit_string(emit, STR("<redacted>"));
        return;
    }
    buf_clear(scratch);
    redact_into(scratch, str_slice(field->text, 0, FIELD_MAX_BYTES));
    if (!str_is_utf8(buf_str(scratch)))
        make_ascii(scratch->base, scratch->len);
    emit_string(emit, scratch->len != 0 ? buf_str(scratch) : STR(""));
}

static void count_event(const char *event)
{
    char labels[128];
    snprintf(labels, sizeof(labels), "event=\"%s\"", event);
    metric_add(metric_counter("basalt_events_total", "Observations by event", labels), 1);
}

static void write_line(const buf_t *line)
{
    size_t done = 0;
    while (done < line->len) {
        ssize_t len = write(atomic_load(&output_fd), line->base + done, line->len - done);
        if (len <= 0)
            return;
        done += (size_t)len;
    }
}

void observe_at(log_level_t level, const char *event, const observe_field_t *fields, size_t count)
{
    count_event(event);
    if (level > log_level())
        return;
    pool_t *pool = pool_create();
    buf_t line, scratch;
    buf_init(&line, pool, 512);
    buf_init(&scratch, pool, 256);
    emit_t emit;
    emit_init(&emit, &line);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "ts", clock_iso8601(pool, clock_unix_ms()));
    emit_kv_string(&emit, "level", str_from_c(LEVEL_NAMES[level]));
    emit_kv_string(&emit, "event", str_from_c(event));
    for (size_t i = 0; i < count; i++) {
        emit_t before = emit;
        size_t len_before = line.len;
        emit_key(&emit, str_from_c(fields[i].name));
        if (str_is_null(fields[i].text))
            emit_int(&emit, fields[i].number);
        else
            write_text_field(&emit, &scratch, &fields[i]);
        if (line.len > LINE_MAX_BYTES - LINE_RESERVE) {
            line.len = len_before;
            emit = before;
            emit_kv_string(&emit, "cut_at", str_from_c(fields[i].name));
            break;
        }
    }
    emit_object_end(&emit);
    buf_append_char(&line, '\n');
    write_line(&line);
    pool_destroy(pool);
}
