#include "rest/grammar.h"

static bool scan_forest(scan_t *scan, const rest_settings_t *settings, uint32_t *embeds, rest_select_t **out,
                        uint32_t *out_count);

static bool over_limit(scan_t *scan, const char *what)
{
    scan->is_over_limit = true;
    scan->limit_what = what;
    return false;
}

/* `alias:`, not followed by a second colon. Null alias when there is none. */
static void scan_alias(scan_t *scan, str_t *alias)
{
    scan_mark_t mark, after;
    scan_mark(scan, &mark);
    bool ok = rest_scan_name(scan, alias) && scan_char(scan, ':');
    if (ok) {
        scan_mark(scan, &after);
        ok = scan_settle_not_ahead(scan, &after, scan_char(scan, ':'));
    }
    if (!scan_settle_try(scan, &mark, ok))
        *alias = STR_NULL;
}

/* ---- embeds ---- */

static bool try_join(scan_t *scan, str_t word)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_try(scan, &mark, scan_literal(scan, word));
}

/* One `!left`, `!inner` or `!hint`; sets only what is not set yet. True also when there is none. */
static bool scan_embed_param(scan_t *scan, rest_select_t *item)
{
    if (!scan_char(scan, '!'))
        return true;
    rest_join_t join = try_join(scan, STR("left"))    ? REST_JOIN_LEFT
                       : try_join(scan, STR("inner")) ? REST_JOIN_INNER
                                                      : REST_JOIN_NONE;
    if (join != REST_JOIN_NONE) {
        if (item->join == REST_JOIN_NONE)
            item->join = join;
        return true;
    }
    str_t hint;
    scan_mark_t mark;
    scan_mark(scan, &mark);
    if (!scan_settle_try(scan, &mark, rest_scan_name(scan, &hint)))
        return false;
    if (str_is_null(item->hint))
        item->hint = hint;
    return true;
}

static bool scan_embed_head(scan_t *scan, rest_select_t *item)
{
    return scan_embed_param(scan, item) && scan_embed_param(scan, item) && rest_scan_ahead(scan, STR("("));
}

static bool try_spread(scan_t *scan, rest_select_t *item)
{
    *item = (rest_select_t){.kind = REST_SELECT_SPREAD};
    scan_mark_t mark;
    scan_mark(scan, &mark);
    scan_spaces(scan);
    bool ok = scan_literal(scan, STR("...")) && rest_scan_name(scan, &item->relation) &&
              scan_embed_head(scan, item);
    if (ok)
        scan_spaces(scan);
    return scan_settle_try(scan, &mark, ok);
}

static bool try_embed(scan_t *scan, rest_select_t *item)
{
    *item = (rest_select_t){.kind = REST_SELECT_EMBED};
    scan_mark_t mark;
    scan_mark(scan, &mark);
    scan_spaces(scan);
    scan_alias(scan, &item->alias);
    bool ok = rest_scan_name(scan, &item->relation) && !str_eq(item->relation, STR("count")) &&
              scan_embed_head(scan, item);
    if (ok)
        scan_spaces(scan);
    return scan_settle_try(scan, &mark, ok);
}

/* ---- fields ---- */

static bool scan_item_end(scan_t *scan)
{
    return rest_scan_ahead(scan, STR(")")) || rest_scan_ahead(scan, STR(",")) || rest_scan_end(scan);
}

/* `::type`, optional; a lone ':' is an error, and so is a name that is blank. */
static bool scan_cast(scan_t *scan, str_t *cast)
{
    size_t start = scan->at;
    if (!scan_literal(scan, STR("::")))
        return scan->at == start;
    return scan_identifier(scan, cast) && cast->len > 0;
}

static bool try_star(scan_t *scan, rest_select_t *item)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    bool ok = scan_literal(scan, STR("*")) && scan_item_end(scan);
    item->field.name = STR("*");
    return scan_settle_try(scan, &mark, ok);
}

static bool try_count(scan_t *scan, rest_select_t *item)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    scan_alias(scan, &item->alias);
    bool ok = scan_literal(scan, STR("count()")) && scan_cast(scan, &item->agg_cast) && scan_item_end(scan);
    item->field.name = STR("*");
    item->agg = REST_AGG_COUNT;
    return scan_settle_try(scan, &mark, ok);
}

static bool scan_agg_name(scan_t *scan, rest_agg_t *agg)
{
    static const struct {
        str_t name;
        rest_agg_t agg;
        bool is_try;
    } AGGREGATES[] = {{STR("sum"), REST_AGG_SUM, false},
                      {STR("avg"), REST_AGG_AVG, false},
                      {STR("count"), REST_AGG_COUNT, false},
                      {STR("max"), REST_AGG_MAX, true},
                      {STR("min"), REST_AGG_MIN, true}};
    for (size_t i = 0; i < sizeof(AGGREGATES) / sizeof(AGGREGATES[0]); i++) {
        scan_mark_t mark;
        size_t start = scan->at;
        *agg = AGGREGATES[i].agg;
        if (AGGREGATES[i].is_try)
            scan_mark(scan, &mark);
        bool ok = scan_literal(scan, AGGREGATES[i].name);
        if (AGGREGATES[i].is_try)
            ok = scan_settle_try(scan, &mark, ok);
        if (ok || scan->at != start)
            return ok;
    }
    return false;
}

static void scan_aggregate(scan_t *scan, rest_agg_t *agg)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    bool ok = scan_char(scan, '.') && scan_agg_name(scan, agg) && scan_literal(scan, STR("()"));
    if (!scan_settle_try(scan, &mark, ok))
        *agg = REST_AGG_NONE;
}

static bool scan_column(scan_t *scan, rest_select_t *item)
{
    scan_alias(scan, &item->alias);
    if (!rest_scan_field(scan, &item->field) || !scan_cast(scan, &item->cast))
        return false;
    scan_aggregate(scan, &item->agg);
    return scan_cast(scan, &item->agg_cast) && scan_item_end(scan);
}

static bool scan_select_field(scan_t *scan, rest_select_t *item)
{
    scan_spaces(scan);
    *item = (rest_select_t){.kind = REST_SELECT_FIELD};
    bool ok = try_star(scan, item);
    if (!ok) {
        *item = (rest_select_t){.kind = REST_SELECT_FIELD};
        ok = try_count(scan, item);
    }
    if (!ok) {
        *item = (rest_select_t){.kind = REST_SELECT_FIELD};
        ok = scan_column(scan, item);
    }
    if (ok)
        scan_spaces(scan);
    return ok;
}

/* ---- the tree ---- */

static bool scan_item(scan_t *scan, const rest_settings_t *settings, uint32_t *embeds, rest_select_t *item)
{
    if (!try_spread(scan, item) && !try_embed(scan, item))
        return scan_select_field(scan, item);
    if (++*embeds > settings->embeds_max)
        return over_limit(scan, "embedded resources");
    if (++scan->depth > settings->embed_depth_max)
        return over_limit(scan, "levels of embedding");
    bool ok = scan_char(scan, '(') &&
              scan_forest(scan, settings, embeds, &item->children, &item->child_count) &&
              scan_char(scan, ')');
    scan->depth--;
    return ok;
}

static bool scan_forest(scan_t *scan, const rest_settings_t *settings, uint32_t *embeds, rest_select_t **out,
                        uint32_t *out_count)
{
    rest_select_t *items = NULL;
    uint32_t count = 0, capacity = 0;
    for (;;) {
        if (count == settings->columns_max)
            return over_limit(scan, "selected columns");
        items = rest_grow(scan->pool, items, count, &capacity, sizeof(*items));
        size_t start = scan->at;
        if (!scan_item(scan, settings, embeds, &items[count])) {
            /* an empty list is legal, a trailing comma is not */
            if (count > 0 || scan->at != start || scan->is_over_limit)
                return false;
            break;
        }
        count++;
        if (!rest_scan_lexeme(scan, ','))
            break;
    }
    *out = items;
    *out_count = count;
    return true;
}

bool rest_scan_select(scan_t *scan, const rest_settings_t *settings, rest_select_t **out, uint32_t *count)
{
    uint32_t embeds = 0;
    scan->depth = 0;
    return scan_forest(scan, settings, &embeds, out, count);
}
