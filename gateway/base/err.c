#include "base/err.h"

#include "base/observe.h"

#include <stdarg.h>

err_t *err_make(pool_t *pool, uint16_t status, err_family_t family, const char *code, const char *format, ...)
{
    err_t *err = POOL_NEW(pool, err_t);
    err->status = status;
    err->family = family;
    err->code = pool_str(pool, code != NULL ? str_from_c(code) : STR(""));
    va_list args;
    va_start(args, format);
    err->message = pool_vprintf(pool, format, args);
    va_end(args);
    return err;
}

err_t *err_details(pool_t *pool, err_t *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->details = pool_vprintf(pool, format, args);
    va_end(args);
    return err;
}

err_t *err_hint(pool_t *pool, err_t *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->hint = pool_vprintf(pool, format, args);
    va_end(args);
    return err;
}

err_t *err_copy(pool_t *pool, const err_t *err)
{
    err_t *copy = POOL_NEW(pool, err_t);
    *copy = *err;
    copy->code = pool_str(pool, err->code);
    copy->message = pool_str(pool, err->message);
    copy->details = pool_str(pool, err->details);
    copy->hint = pool_str(pool, err->hint);
    copy->details_json = pool_str(pool, err->details_json);
    copy->reason = pool_str(pool, err->reason);
    copy->headers = pool_str(pool, err->headers);
    return copy;
}

err_t *err_bug_at(pool_t *pool, const char *what, const char *file, int line)
{
    observe(LOG_ERROR, "invariant_failed", F_CSTR("what", what), F_CSTR("file", file), F_INT("line", line));
    return err_make(pool, 500, ERR_FAMILY_BUG, "internal", "%s", "An internal error occurred");
}
