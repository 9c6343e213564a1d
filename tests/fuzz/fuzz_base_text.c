/* Texts of strangers: escaping, encodings, redaction. */
#include "base/crypt.h"
#include "base/emit.h"
#include "base/log.h"
#include "base/read_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Escaped text reads back as it was; zero bytes are what jansson does not take. */
static void check_escape(pool_t *pool, str_t text)
{
    buf_t out;
    buf_init(&out, pool, 0);
    emit_json_string(&out, text);
    const read_json_limits_t any = {.any_value = true};
    json_t *value;
    err_t *err = read_json(pool, buf_str(&out), &any, &value);
    bool is_plain = str_is_utf8(text) && str_find_char(text, '\0', 0) == SIZE_MAX;
    if (is_plain != (err == NULL))
        __builtin_trap();
    if (is_plain && !str_eq(str_make(json_string_value(value), json_string_length(value)), text))
        __builtin_trap();
}

static void check_encodings(pool_t *pool, str_t text)
{
    str_t bytes, again;
    if (crypt_unbase64(pool, text, &bytes) &&
        (!crypt_unbase64(pool, crypt_base64url(pool, bytes), &again) || !str_eq(bytes, again)))
        __builtin_trap();
    if (!crypt_unbase64(pool, crypt_base64(pool, text), &again) || !str_eq(text, again))
        __builtin_trap();
    if (!crypt_unhex(pool, crypt_hex(pool, (const uint8_t *)text.base, text.len), &again) ||
        !str_eq(text, again))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char secret[] = "hunter2hunter2";
    pool_t *pool = pool_create();
    str_t text = str_make(size != 0 ? (const char *)data : "", size);
    check_escape(pool, text);
    check_encodings(pool, text);
    log_redact(pool, text);
    /* whatever stands before it, the value of a parameter named token is masked */
    str_t line = log_redact(pool, pool_concat(pool, 3, text, STR("&token="), str_from_c(secret)));
    if (str_find(line, str_from_c(secret), 0) != SIZE_MAX &&
        str_find(text, str_from_c(secret), 0) == SIZE_MAX)
        __builtin_trap();
    int64_t number;
    str_to_int64(text, &number);
    str_is_uuid(text);
    pool_destroy(pool);
    return 0;
}
