#include "filter/filter.h"

static const filter_operator_t OPERATORS[FILTER_OP_COUNT] = {
#define ROW(id, name, sql, kind) [FILTER_##id] = {STR(name), STR(sql), FILTER_KIND_##kind}
    ROW(EQ, "eq", "=", QUANTIFIABLE),
    ROW(GTE, "gte", ">=", QUANTIFIABLE),
    ROW(GT, "gt", ">", QUANTIFIABLE),
    ROW(LTE, "lte", "<=", QUANTIFIABLE),
    ROW(LT, "lt", "<", QUANTIFIABLE),
    ROW(LIKE, "like", "like", QUANTIFIABLE),
    ROW(ILIKE, "ilike", "ilike", QUANTIFIABLE),
    ROW(MATCH, "match", "~", QUANTIFIABLE),
    ROW(IMATCH, "imatch", "~*", QUANTIFIABLE),
    ROW(NEQ, "neq", "<>", SIMPLE),
    ROW(CS, "cs", "@>", SIMPLE),
    ROW(CD, "cd", "<@", SIMPLE),
    ROW(OV, "ov", "&&", SIMPLE),
    ROW(SL, "sl", "<<", SIMPLE),
    ROW(SR, "sr", ">>", SIMPLE),
    ROW(NXR, "nxr", "&<", SIMPLE),
    ROW(NXL, "nxl", "&>", SIMPLE),
    ROW(ADJ, "adj", "-|-", SIMPLE),
    ROW(FTS, "fts", "@@ to_tsquery", FTS),
    ROW(PLFTS, "plfts", "@@ plainto_tsquery", FTS),
    ROW(PHFTS, "phfts", "@@ phraseto_tsquery", FTS),
    ROW(WFTS, "wfts", "@@ websearch_to_tsquery", FTS),
    ROW(IN, "in", "= ANY", LIST),
    ROW(IS, "is", "IS", IS),
    ROW(ISDISTINCT, "isdistinct", "IS DISTINCT FROM", DISTINCT),
#undef ROW
};

const filter_operator_t *filter_operator(filter_op_t op)
{
    return &OPERATORS[op];
}

str_t filter_is_sql(filter_is_t is)
{
    static const str_t SQL[] = {STR("NULL"), STR("NOT NULL"), STR("TRUE"), STR("FALSE"), STR("UNKNOWN")};
    return SQL[is];
}

str_t filter_array_literal(pool_t *pool, const str_t *values, size_t count)
{
    buf_t out;
    size_t size = 2;
    for (size_t i = 0; i < count; i++)
        size += values[i].len + 3;
    buf_init(&out, pool, size);
    buf_append_char(&out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(&out, ',');
        buf_append_char(&out, '"');
        for (size_t j = 0; j < values[i].len; j++) {
            char c = values[i].base[j];
            if (c == '"' || c == '\\')
                buf_append_char(&out, '\\');
            buf_append_char(&out, c);
        }
        buf_append_char(&out, '"');
    }
    buf_append_char(&out, '}');
    return buf_str(&out);
}
