/* Tokens and role paths: nothing unsigned passes, nothing crashes. */
#include "base/crypt.h"
#include "token/token.h"

#include <stdlib.h>

#define SECRET "fuzzing-secret-of-at-least-32-bytes!"

/* Signs "header\npayload" itself, so that claims are reached as well. */
static str_t sign(pool_t *pool, str_t text)
{
    uint8_t mac[CRYPT_SHA256_LEN];
    str_t header = str_split(&text, '\n');
    str_t payload = str_is_null(text) ? STR("{}") : text;
    str_t input =
        pool_concat(pool, 3, crypt_base64url(pool, header), STR("."), crypt_base64url(pool, payload));
    crypt_hmac_sha256(STR(SECRET), input, mac);
    return pool_concat(pool, 3, input, STR("."),
                       crypt_base64url(pool, str_make((const char *)mac, sizeof(mac))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str_t text = str_make((const char *)data, size);
    pool_t *pool = pool_create();
    identity_t identity;
    token_verifier_t *verifier = NULL;
    token_options_t options = {.secret = STR(SECRET), .anon_role = STR("anon"), .cache_max = 4};
    if (token_verifier_create(pool, &options, &verifier) != NULL)
        abort();
    if (token_verify(verifier, pool, text, &identity) == NULL) /* nobody guesses the secret */
        abort();
    str_t signed_token = sign(pool, text);
    if (token_verify(verifier, pool, signed_token, &identity) == NULL &&
        token_verify(verifier, pool, signed_token, &identity) != NULL) /* the cache agrees */
        abort();
    token_verifier_destroy(verifier);
    options = (token_options_t){.secret = STR(SECRET), .role_claim_key = text};
    if (size > 0 && token_verifier_create(pool, &options, &verifier) == NULL) {
        err_t *err = token_verify(
            verifier, pool, sign(pool, STR("{\"alg\":\"HS256\"}\n{\"role\":\"r\",\"a\":[\"b\",{\"c\":1}]}")),
            &identity);
        (void)err;
        token_verifier_destroy(verifier);
    }
    options = (token_options_t){.secret = text};
    if (size > 0 && data[0] != '@' && token_verifier_create(pool, &options, &verifier) == NULL)
        token_verifier_destroy(verifier);
    pool_destroy(pool);
    return 0;
}
