/* Sign-in through a directory (FreeIPA, Active Directory): who the directory says somebody is, the account
 * behind it, its role, its session. docs/functions.md "Sign-in". */
#ifndef FUNCTIONS_IDM_H
#define FUNCTIONS_IDM_H

#include "drivers/directory/directory.h"
#include "functions/lockout.h"

/* The row of idm_settings, its secrets decrypted. */
typedef struct {
    directory_t directory;
    str_t auth_mode;
    int64_t tries_max, lock_minutes, session_minutes;
} idm_settings_t;

/* False after having replied 503 or 403. */
bool idm_load(api_task_t *task, idm_settings_t *out);

/* Whether a mapping's group is one of the person's: as DNs when both are, else by name; in any case, never in
 * part. */
bool idm_is_member(pool_t *pool, str_t mapped, const directory_person_t *person);
/* The first CN of a DN, what follows the last backslash, or the text itself; lower case. */
str_t idm_group_name(pool_t *pool, str_t group);

/* The address an account goes by: the directory's when it is one, else made of principal, realm or host. */
str_t idm_address(pool_t *pool, const idm_settings_t *settings, const directory_person_t *person);

/* Finds or makes the account, gives it the role the directory grants, and replies with its session, or with
 * the error. True when somebody is signed in. */
bool idm_sign_in(api_task_t *task, const idm_settings_t *settings, const directory_person_t *person);

/* Failure of a sign-in, without a password. */
void idm_audit_failure(api_task_t *task, str_t username, const char *reason);

#endif
