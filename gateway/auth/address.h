/* E-mail addresses and phone numbers: the formats that GoTrue takes. */
#ifndef AUTH_ADDRESS_H
#define AUTH_ADDRESS_H

#include "base/err.h"
#include "base/pool.h"

/* Checks and lower-cases. Errors: 400 validation_failed. */
err_t *address_check_email(pool_t *pool, str_t email, str_t *out) MUST_CHECK;
/* Strips '+' and spaces; E.164 without '+'. Errors: 400 validation_failed. */
err_t *address_check_phone(pool_t *pool, str_t phone, str_t *out) MUST_CHECK;

/* For look-ups: lower case / without '+' and spaces, no check. */
str_t address_lower(pool_t *pool, str_t email);
str_t address_plain_phone(pool_t *pool, str_t phone);

#endif
