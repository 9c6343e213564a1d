/* What strangers write into auth: addresses, redirects, hashes. */
#include "auth/address.h"
#include "auth/password.h"
#include "auth/redirect.h"
#include "drivers/smtp/smtp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str_t text = str_make((const char *)data, size), out;
    pool_t *pool = pool_create();
    if (address_check_email(pool, text, &out) == NULL) {
        smtp_message_t message = {
            .from_address = STR("a@b.c"), .to = &out, .to_count = 1, .subject = STR("s"), .text = text};
        str_t mail = smtp_build_message(pool, &message);
        if (!str_is_null(mail) && str_find(mail, STR("\r\nBcc:"), 0) != SIZE_MAX)
            abort();
    }
    if (address_check_phone(pool, text, &out) == NULL && out.len > 15)
        abort();
    str_t rest = text;
    str_t list = str_split(&rest, '\n');
    if (!str_is_null(rest) && redirect_is_allowed(pool, STR("https://site.test"), list, rest) &&
        (str_find_char(rest, '\r', 0) != SIZE_MAX || str_find_char(rest, '\n', 0) != SIZE_MAX ||
         rest.len > 4096))
        abort();
    if (redirect_is_allowed(pool, STR("https://site.test"), STR_NULL, text) &&
        str_find(text, STR("site.test"), 0) == SIZE_MAX && str_find(text, STR("127."), 0) == SIZE_MAX &&
        str_find(text, STR(":"), 0) == SIZE_MAX)
        abort();
    (void)password_is_bcrypt(text);
    pool_destroy(pool);
    return 0;
}
