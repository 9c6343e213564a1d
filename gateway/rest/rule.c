#include "rest/stages.h"

/* Type oids of pg_type.dat that PostgreSQL's own JSON functions treat specially. */
rest_rule_t rest_rule_of(uint32_t type_oid)
{
    switch (type_oid) {
    case 20:   /* int8 */
    case 21:   /* int2 */
    case 23:   /* int4 */
    case 114:  /* json */
    case 3802: /* jsonb */
        return REST_RULE_COPY;
    case 700:  /* float4 */
    case 701:  /* float8 */
    case 1700: /* numeric */
        return REST_RULE_NUMBER;
    case 16:
        return REST_RULE_BOOL;
    case 1114: /* timestamp */
    case 1184: /* timestamptz */
        return REST_RULE_TIMESTAMP;
    case 1009: /* text[] */
    case 1015: /* varchar[] */
        return REST_RULE_TEXTS;
    default:
        return REST_RULE_QUOTE;
    }
}
