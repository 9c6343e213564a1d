/* Time-based codes (RFC 6238): SHA-1, 30 seconds, 6 digits, one step of skew; and the picture to scan. */
#ifndef AUTH_TOTP_H
#define AUTH_TOTP_H

#include "base/pool.h"

/* 32 characters of A-Z2-7: 160 random bits. */
str_t totp_make_secret(pool_t *pool);

/* The code at a time; null string when the secret is no base32. */
str_t totp_code(pool_t *pool, str_t secret, int64_t unix_time);

/* True for the code of now, the step before or the one after. */
bool totp_is_valid(pool_t *pool, str_t secret, str_t code, int64_t unix_time);

/* otpauth://totp/<issuer>:<account>?algorithm=SHA1&digits=6&issuer=..&period=30&secret=.. */
str_t totp_uri(pool_t *pool, str_t issuer, str_t account, str_t secret);

/* A QR code as SVG text; null string when the text is too long. */
str_t totp_qr_svg(pool_t *pool, str_t text);

#endif
