#include "functions/fn.h"

#define KIB 1024

/* clang-format off */
const fn_entry_t FN_TABLE[] = {
    {"create-job", "POST", FN_AUTH_ROLE, "admin operator", "Insufficient permissions", 1024 * KIB, 30000, fn_create_job,
     "Queues a job; its tasks and, for a full update, its component jobs"},
    {"update-job", "POST", FN_AUTH_OWN, NULL, NULL, 4096 * KIB, 30000, fn_update_job,
     "Reports or changes a job and its tasks (executor signature, service role, admin or operator)"},
    {"encrypt-credentials", "POST", FN_AUTH_ROLE, "admin operator",
     "Permission denied. Admin or operator role required.", 1024 * KIB, 30000, fn_encrypt_credentials,
     "Encrypts a secret and stores or returns the ciphertext"},
    {"get-service-key", "GET POST", FN_AUTH_ROLE, "admin", "Forbidden: Admin role required", 64 * KIB, 10000, fn_get_service_key,
     "Shows an administrator the service role key for setting up an executor"},
    {NULL, NULL, FN_AUTH_NONE, NULL, NULL, 0, 0, NULL, NULL},
};
/* clang-format on */
