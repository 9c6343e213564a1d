#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/rand.h"
#include "drivers/smtp/smtp.h"

#include <time.h>

#define BASE64_LINE 76
#define WORD_BYTES_MAX 45 /* of UTF-8 in one encoded word: 60 characters of base64 */

static bool has_control(str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.base[i] < ' ' || text.base[i] == 0x7f)
            return true;
    return false;
}

static bool is_bare_address(str_t address)
{
    size_t at = str_find_char(address, '@', 0);
    if (at == SIZE_MAX || at == 0 || at + 1 == address.len || has_control(address))
        return false;
    for (size_t i = 0; i < address.len; i++)
        if (strchr(" <>,;\"", address.base[i]) != NULL)
            return false;
    return true;
}

static bool is_ascii(str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.base[i] >= 0x80)
            return false;
    return true;
}

/* RFC 2047 encoded words, cut between characters. */
static void append_encoded_words(buf_t *out, pool_t *pool, str_t text)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = at + WORD_BYTES_MAX < text.len ? at + WORD_BYTES_MAX : text.len;
        while (end < text.len && end > at + 1 && ((unsigned char)text.base[end] & 0xc0) == 0x80)
            end--;
        if (at > 0)
            buf_append_lit(out, "\r\n ");
        buf_append_lit(out, "=?UTF-8?B?");
        buf_append_str(out, crypt_base64(pool, str_slice(text, at, end)));
        buf_append_lit(out, "?=");
        at = end;
    }
}

static void append_from(buf_t *out, pool_t *pool, const smtp_message_t *message)
{
    buf_append_lit(out, "From: ");
    if (message->from_name.len > 0) {
        if (is_ascii(message->from_name)) {
            buf_append_char(out, '"');
            for (size_t i = 0; i < message->from_name.len; i++) {
                char c = message->from_name.base[i];
                if (c == '"' || c == '\\')
                    buf_append_char(out, '\\');
                buf_append_char(out, c);
            }
            buf_append_char(out, '"');
        } else {
            append_encoded_words(out, pool, message->from_name);
        }
        buf_append_char(out, ' ');
    }
    buf_printf(out, "<%.*s>\r\n", STR_ARG(message->from_address));
}

static void append_headers(buf_t *out, pool_t *pool, const smtp_message_t *message)
{
    char date[64];
    struct tm parts;
    time_t now = (time_t)clock_unix();
    gmtime_r(&now, &parts);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &parts);
    append_from(out, pool, message);
    buf_append_lit(out, "To: ");
    for (size_t i = 0; i < message->to_count; i++)
        buf_printf(out, "%s%.*s", i > 0 ? ",\r\n " : "", STR_ARG(message->to[i]));
    buf_append_lit(out, "\r\nSubject: ");
    if (is_ascii(message->subject) && message->subject.len < 900)
        buf_append_str(out, message->subject);
    else
        append_encoded_words(out, pool, message->subject);
    size_t at = str_find_char(message->from_address, '@', 0);
    buf_printf(out, "\r\nDate: %s\r\nMessage-ID: <%.*s%.*s>\r\nMIME-Version: 1.0\r\n", date,
               STR_ARG(rand_hex(pool, 16)),
               STR_ARG(str_slice(message->from_address, at, message->from_address.len)));
}

static void append_part(buf_t *out, pool_t *pool, const char *type, str_t body)
{
    str_t encoded = crypt_base64(pool, body);
    buf_printf(out, "Content-Type: %s; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", type);
    for (size_t at = 0; at < encoded.len; at += BASE64_LINE) {
        buf_append_str(out, str_slice(encoded, at, at + BASE64_LINE));
        buf_append_lit(out, "\r\n");
    }
}

str_t smtp_build_message(pool_t *pool, const smtp_message_t *message)
{
    buf_t out;
    bool is_valid = is_bare_address(message->from_address) && !has_control(message->from_name) &&
                    !has_control(message->subject) && message->to_count > 0;
    for (size_t i = 0; i < message->to_count; i++)
        is_valid &= is_bare_address(message->to[i]);
    if (!is_valid)
        return STR_NULL;
    buf_init(&out, pool, 1024 + 2 * (message->html.len + message->text.len));
    append_headers(&out, pool, message);
    if (!str_is_null(message->html) && !str_is_null(message->text)) {
        str_t boundary = rand_hex(pool, 16);
        buf_printf(&out, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n",
                   boundary.base, boundary.base);
        append_part(&out, pool, "text/plain", message->text);
        buf_printf(&out, "--%s\r\n", boundary.base);
        append_part(&out, pool, "text/html", message->html);
        buf_printf(&out, "--%s--\r\n", boundary.base);
    } else if (!str_is_null(message->html)) {
        append_part(&out, pool, "text/html", message->html);
    } else {
        append_part(&out, pool, "text/plain", message->text);
    }
    return buf_str(&out);
}
