#include "rest/plan.h"
err_t *plan_openapi(planner_t *p, rest_plan_t *out)
{
    (void)out;
    return err_bug(p->pool, "openapi");
}
void rest_openapi_row(rest_plan_t *plan, pool_t *pool, uint32_t stmt, const str_t *values, size_t count)
{
    (void)plan;
    (void)pool;
    (void)stmt;
    (void)values;
    (void)count;
}
str_t rest_openapi_render(const rest_settings_t *settings, pool_t *pool, const rest_request_t *request,
                          rest_plan_t *plan, str_t host, bool is_tls)
{
    (void)settings;
    (void)pool;
    (void)request;
    (void)plan;
    (void)host;
    (void)is_tls;
    return STR("{}");
}
