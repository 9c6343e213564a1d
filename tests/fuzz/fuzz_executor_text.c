/* Text that people and databases give the executor (first byte: which): ranges, stored secrets, bodies to
 * redact. */
#include "base/read_json.h"
#include "base/redact.h"
#include "drivers/credentials/range.h"
#include "drivers/credentials/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(pool_t *pool, str_t text)
{
    range_t range;
    str_t *addresses;
    size_t count = 0;
    if (!range_parse(text, &range))
        return;
    if (!range_expand(&range, pool, 300, &addresses, &count) && count < 300)
        __builtin_trap();
    for (size_t i = 0; i < count; i++)
        if (!range_holds(&range, addresses[i]))
            __builtin_trap();
}

/* The canary, where it stands under a secret name or is a known secret, must be gone. */
static void check_redaction(pool_t *pool, str_t text)
{
    static const str_t CANARY = {"CANARY-7", 8};
    json_t *body = NULL;
    str_t clean = redact_text(pool, text, &CANARY, 1);
    if (str_find(clean, CANARY, 0) != SIZE_MAX)
        __builtin_trap();
    if (read_json(pool, text, NULL, &body) != NULL)
        return;
    json_t *out = redact_json(pool, body, &CANARY, 1);
    const json_t *password = json_object_get(out, "Password");
    if (json_is_string(password) && str_find(str_from_c(json_string_value(password)), CANARY, 0) != SIZE_MAX)
        __builtin_trap();
    json_decref(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    pool_t *pool = pool_create();
    str_t text = str_make((const char *)data + 1, size - 1), plain;
    switch (data[0] % 3) {
    case 0:
        check_range(pool, text);
        break;
    case 1:
        (void)secret_decrypt(pool, STR("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), text, &plain);
        break;
    default:
        check_redaction(pool, text);
    }
    pool_destroy(pool);
    return 0;
}
