/* Removing a person, shared by delete-user and delete-managed-user. */
#ifndef FUNCTIONS_DELETE_USER_H
#define FUNCTIONS_DELETE_USER_H

#include "functions/fn.h"

/* Profile, roles, and every reference to the profile, within the transaction of the service role. */
err_t *delete_user_rows(db_session_t *session, str_t user_id) MUST_CHECK;

/* The row of auth.users, in a transaction of its own; `*is_deleted` (may be NULL) tells whether there was
 * one. */
err_t *delete_user_sign_in(api_task_t *task, str_t user_id, bool *is_deleted) MUST_CHECK;
/* Removals come one after another, so that two administrators who remove each other leave one: before it is
 * asked who is the last. */
err_t *delete_user_in_turn(db_session_t *session) MUST_CHECK;

#endif
