/* Digests, MACs, ciphers and encodings, all from OpenSSL. Errors are impossible inputs, hence bool. */
#ifndef BASE_CRYPT_H
#define BASE_CRYPT_H

#include "base/pool.h"

#define CRYPT_SHA256_LEN 32

/* First of all in main: OpenSSL is not to tidy up at the end of the process, when a helper thread may still
 * be inside of it (a login to the database that nobody waits for). */
void crypt_init(void);

void crypt_sha256(str_t data, uint8_t out[CRYPT_SHA256_LEN]);
void crypt_hmac_sha256(str_t key, str_t data, uint8_t out[CRYPT_SHA256_LEN]);
str_t crypt_sha256_hex(pool_t *pool, str_t data);
str_t crypt_hmac_sha256_hex(pool_t *pool, str_t key, str_t data);
/* MD5 is only for checksums that a contract names, never for security. */
str_t crypt_md5_hex(pool_t *pool, str_t data);

/* Equal without telling where they differ; lengths may leak. */
bool crypt_equal(str_t a, str_t b);

str_t crypt_hex(pool_t *pool, const uint8_t *bytes, size_t len);
bool crypt_unhex(pool_t *pool, str_t hex, str_t *out);
str_t crypt_base64(pool_t *pool, str_t data);
str_t crypt_base64url(pool_t *pool, str_t data); /* no padding, RFC 7515 */
/* Both alphabets, padding optional; false on any other character. */
bool crypt_unbase64(pool_t *pool, str_t text, str_t *out);

/* AES-256-CBC with PKCS#7 padding; key 32 bytes, iv 16 bytes. False when the key, length or padding is wrong.
 */
bool crypt_aes256_cbc_encrypt(pool_t *pool, str_t key, str_t iv, str_t plain, str_t *out);
bool crypt_aes256_cbc_decrypt(pool_t *pool, str_t key, str_t iv, str_t cipher, str_t *out);

/* A copy of a secret on the heap with a zero behind it, for as long as something lives; crypt_forget wipes
 * and frees it (NULL is allowed). */
char *crypt_keep(str_t secret);
void crypt_forget(char *secret);

/* Overwrites memory that held a secret; never optimised away. */
void crypt_wipe(void *memory, size_t len);

#endif
