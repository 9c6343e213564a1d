/* The query string's languages: what they mean, and what is said about a mistake. */
#include "rest/grammar.h"
#include "rest/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const rest_settings_t SETTINGS = {.filters_max = 20,
                                         .logic_depth_max = 4,
                                         .list_max = 5,
                                         .embed_depth_max = 5,
                                         .embeds_max = 6,
                                         .columns_max = 10,
                                         .json_depth_max = 8};

/* ---- printing what was understood ---- */

static void show_field(buf_t *out, const rest_field_t *field)
{
    buf_printf(out, "%.*s", STR_ARG(field->name));
    for (uint32_t i = 0; i < field->step_count; i++)
        buf_printf(out, "%s%s%.*s]", field->steps[i].is_text ? "-T[" : "-J[",
                   field->steps[i].is_index ? "#" : "", STR_ARG(field->steps[i].operand));
}

static void show_items(buf_t *out, const rest_select_t *items, uint32_t count)
{
    static const char *const AGGS[] = {"", ".sum", ".avg", ".count", ".max", ".min"};
    static const char *const JOINS[] = {"", "!inner", "!left"};
    for (uint32_t i = 0; i < count; i++) {
        const rest_select_t *item = &items[i];
        if (i > 0)
            buf_append_char(out, '|');
        if (!str_is_null(item->alias))
            buf_printf(out, "%.*s=", STR_ARG(item->alias));
        if (item->kind == REST_SELECT_FIELD) {
            show_field(out, &item->field);
            if (!str_is_null(item->cast))
                buf_printf(out, "::%.*s", STR_ARG(item->cast));
            buf_append_str(out, str_from_c(AGGS[item->agg]));
            if (!str_is_null(item->agg_cast))
                buf_printf(out, "::%.*s", STR_ARG(item->agg_cast));
            continue;
        }
        buf_printf(out, "%s%.*s", item->kind == REST_SELECT_SPREAD ? "..." : "", STR_ARG(item->relation));
        if (!str_is_null(item->hint))
            buf_printf(out, "!%.*s", STR_ARG(item->hint));
        buf_printf(out, "%s(", JOINS[item->join]);
        show_items(out, item->children, item->child_count);
        buf_append_char(out, ')');
    }
}

static void show_expr(buf_t *out, const filter_expr_t *expr)
{
    const filter_operator_t *op = filter_operator(expr->op);
    buf_printf(out, "%s%.*s", expr->is_negated ? "not " : "", STR_ARG(op->sql));
    if (expr->quant != FILTER_QUANT_NONE)
        buf_append_str(out, expr->quant == FILTER_QUANT_ANY ? STR(" any") : STR(" all"));
    if (!str_is_null(expr->language))
        buf_printf(out, " <%.*s>", STR_ARG(expr->language));
    if (op->kind == FILTER_KIND_IS) {
        buf_printf(out, " %.*s", STR_ARG(filter_is_sql(expr->is)));
    } else if (op->kind == FILTER_KIND_LIST) {
        for (uint32_t i = 0; i < expr->value_count; i++)
            buf_printf(out, " [%.*s]", STR_ARG(expr->values[i]));
    } else {
        buf_printf(out, " [%.*s]", STR_ARG(expr->value));
    }
}

static void show_logic(buf_t *out, const rest_logic_t *tree)
{
    if (tree->is_leaf) {
        show_field(out, &tree->field);
        buf_append_char(out, ' ');
        show_expr(out, &tree->expr);
        return;
    }
    buf_printf(out, "%s%s(", tree->is_negated ? "not " : "", tree->is_or ? "or" : "and");
    for (uint32_t i = 0; i < tree->child_count; i++) {
        if (i > 0)
            buf_append_lit(out, ", ");
        show_logic(out, &tree->children[i]);
    }
    buf_append_char(out, ')');
}

static void show_order(buf_t *out, const rest_order_t *order)
{
    static const char *const DIRS[] = {"", " asc", " desc"}, *const NULLS[] = {"", " first", " last"};
    for (uint32_t i = 0; i < order->term_count; i++) {
        const rest_order_term_t *term = &order->terms[i];
        if (i > 0)
            buf_append_char(out, '|');
        if (!str_is_null(term->relation))
            buf_printf(out, "%.*s.", STR_ARG(term->relation));
        show_field(out, &term->field);
        buf_printf(out, "%s%s", DIRS[term->dir], NULLS[term->nulls]);
    }
}

typedef enum { RULE_SELECT, RULE_ORDER, RULE_LOGIC, RULE_FILTER, RULE_NAME } rule_t;

/* What the rule understood, or "position: message". */
static str_t run_rule(pool_t *pool, rule_t rule, const char *text)
{
    scan_t scan;
    buf_t out;
    bool ok = false;
    scan_init(&scan, pool, str_from_c(text));
    buf_init(&out, pool, 128);
    rest_select_t *items;
    uint32_t count;
    rest_order_t order = {0};
    rest_logic_t logic;
    filter_expr_t expr;
    str_t name;
    switch (rule) {
    case RULE_SELECT:
        if ((ok = rest_scan_select(&scan, &SETTINGS, &items, &count)))
            show_items(&out, items, count);
        break;
    case RULE_ORDER:
        if ((ok = rest_scan_order(&scan, &SETTINGS, &order)))
            show_order(&out, &order);
        break;
    case RULE_LOGIC:
        if ((ok = rest_scan_logic(&scan, &SETTINGS, &logic)))
            show_logic(&out, &logic);
        break;
    case RULE_FILTER:
        if ((ok = filter_parse(&scan, FILTER_VALUE_WHOLE, SETTINGS.list_max, &expr)))
            show_expr(&out, &expr);
        break;
    case RULE_NAME:
        if ((ok = rest_scan_name(&scan, &name)))
            buf_append_str(&out, name);
        break;
    }
    if (!ok && scan.is_over_limit)
        buf_printf(&out, "limit: %s", scan.limit_what);
    else if (!ok)
        buf_printf(&out, "%.*s: %.*s", STR_ARG(scan_error_position(&scan, pool)),
                   STR_ARG(scan_error_text(&scan, pool)));
    return buf_str(&out);
}

typedef struct {
    rule_t rule;
    const char *text, *expected;
} case_t;

static void check(const case_t *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pool_t *pool = pool_create();
        str_t got = run_rule(pool, cases[i].rule, cases[i].text);
        if (!str_eq(got, str_from_c(cases[i].expected)))
            fail_msg("`%s`\n  expected %s\n  got      %.*s", cases[i].text, cases[i].expected, STR_ARG(got));
        pool_destroy(pool);
    }
}
#define CHECK(cases) check((cases), sizeof(cases) / sizeof((cases)[0]))

/* ---- tests ---- */

static void select_lists_keep_aliases_casts_paths_and_embeds(void **state)
{
    (void)state;
    static const case_t CASES[] = {
        {RULE_SELECT, "", ""},
        {RULE_SELECT, "*", "*"},
        {RULE_SELECT, "id, name ,x", "id|name|x"},
        {RULE_SELECT, "a:id::text", "a=id::text"},
        {RULE_SELECT, "a:data->b->>c::int", "a=data-J[b]-T[c]::int"},
        {RULE_SELECT, "data->-1->>2", "data-J[#-1]-T[#+2]"},
        {RULE_SELECT, "\"a,b\":\"c\\\"d\"", "a,b=c\"d"},
        {RULE_SELECT, "count()", "*.count"},
        {RULE_SELECT, "n:count()::text", "n=*.count::text"},
        {RULE_SELECT, "cost::int.sum()::text", "cost::int.sum::text"},
        {RULE_SELECT, "*,clients!fk!inner(id,projects(*))", "*|clients!fk!inner(id|projects(*))"},
        {RULE_SELECT, "c:clients!inner!fk(*)", "c=clients!fk!inner(*)"},
        {RULE_SELECT, "...clients!left(n:name)", "...clients!left(n=name)"},
        {RULE_SELECT, "clients()", "clients()"},
        {RULE_SELECT, "with-dash,with space", "with-dash|with space"},
        {RULE_SELECT, "\xC3\xA9t\xC3\xA9,\xE5\x86\x99\xE7\x9C\x9F(*)",
         "\xC3\xA9t\xC3\xA9|\xE5\x86\x99\xE7\x9C\x9F(*)"},
    };
    CHECK(CASES);
}

static void select_mistakes_are_told_as_the_peer_tells_them(void **state)
{
    (void)state;
    static const case_t CASES[] = {
        {RULE_SELECT, "id,clients(name[])",
         "(line 1, column 16): unexpected '[' expecting letter, digit, \"-\", \"->>\", \"->\", \"::\", "
         "\".\", \")\", "
         "\",\" or end of input"},
        {RULE_SELECT, "data->>-78xy",
         "(line 1, column 11): unexpected 'x' expecting digit, \"->\", \"::\", \".\", \",\" or end of input"},
        {RULE_SELECT, "name!hint",
         "(line 1, column 5): unexpected '!' expecting letter, digit, \"-\", \"->>\", \"->\", \"::\", \".\", "
         "\")\", "
         "\",\" or end of input"},
        {RULE_SELECT, "name::", "(line 1, column 7): unexpected end of input expecting letter or digit"},
        {RULE_SELECT, "id,",
         "(line 1, column 4): unexpected end of input expecting \"...\", field name (* or [a..z0..9_$]), "
         "\"*\" or "
         "\"count()\""},
    };
    CHECK(CASES);
}

static void orders_name_direction_nulls_and_relations(void **state)
{
    (void)state;
    static const case_t CASES[] = {
        {RULE_ORDER, "id", "id"},
        {RULE_ORDER, "name.desc.nullsfirst,id.asc", "name desc first|id asc"},
        {RULE_ORDER, "j->a->>b.nullslast", "j-J[a]-T[b] last"},
        {RULE_ORDER, "name,clients(name),id", "name|clients.name|id"},
        {RULE_ORDER, "clients(j->k).desc.nullsfirst", "clients.j-J[k] desc first"},
        {RULE_ORDER, "id.ac",
         "(line 1, column 4): unexpected \"c\" expecting \"asc\", \"desc\", \"nullsfirst\" or \"nullslast\""},
        {RULE_ORDER, "id.descc",
         "(line 1, column 8): unexpected 'c' expecting delimiter (.), \",\" or end of input"},
        {RULE_ORDER, "id.nullslasttt", "(line 1, column 13): unexpected 't' expecting \",\" or end of input"},
        {RULE_ORDER, "id.asc.nlsfst",
         "(line 1, column 8): unexpected \"l\" expecting \"nullsfirst\" or \"nullslast\""},
        {RULE_ORDER, "clients(name,id)",
         "(line 1, column 8): unexpected '(' expecting letter, digit, \"-\", \"->>\", \"->\", delimiter (.), "
         "\",\" or "
         "end of input"},
    };
    CHECK(CASES);
}

static void filters_cover_every_operator_and_modifier(void **state)
{
    (void)state;
    static const case_t CASES[] = {
        {RULE_FILTER, "eq.a.b,c", "= [a.b,c]"},
        {RULE_FILTER, "eq.", "= []"},
        {RULE_FILTER, "not.gte.5", "not >= [5]"},
        {RULE_FILTER, "like(any).{a*,b*}", "like any [{a*,b*}]"},
        {RULE_FILTER, "not.imatch(all).{x}", "not ~* all [{x}]"},
        {RULE_FILTER, "neq.1", "<> [1]"},
        {RULE_FILTER, "cs.{1}", "@> [{1}]"},
        {RULE_FILTER, "adj.(1,2)", "-|- [(1,2)]"},
        {RULE_FILTER, "in.(1,\"a,b\",)", "= ANY [1] [a,b] []"},
        {RULE_FILTER, "in.()", "= ANY []"},
        {RULE_FILTER, "in.(\"a\"b,c)", "= ANY [\"a\"b] [c]"},
        {RULE_FILTER, "is.NULL", "IS NULL"},
        {RULE_FILTER, "is.not_null", "IS NOT NULL"},
        {RULE_FILTER, "isdistinct.x", "IS DISTINCT FROM [x]"},
        {RULE_FILTER, "wfts(english).fat cat", "@@ websearch_to_tsquery <english> [fat cat]"},
        {RULE_FILTER, "noop.0",
         "(line 1, column 1): unexpected \"o\" expecting \"not\" or operator (eq, gt, ...)"},
        {RULE_FILTER, "fts().value", "(line 1, column 5): unexpected \")\" expecting operator (eq, gt, ...)"},
        {RULE_FILTER, "eq().value", "(line 1, column 4): unexpected \")\" expecting operator (eq, gt, ...)"},
        {RULE_FILTER, "is().value", "(line 1, column 3): unexpected \"(\" expecting operator (eq, gt, ...)"},
        {RULE_FILTER, "in().value", "(line 1, column 3): unexpected \"(\" expecting operator (eq, gt, ...)"},
        {RULE_FILTER, "in.1,2", "(line 1, column 4): unexpected \"1\" expecting \"(\""},
        {RULE_FILTER, "in.(1,2,3,4,5,6)", "limit: values in a list"},
    };
    CHECK(CASES);
}

static void logic_trees_nest_and_quote(void **state)
{
    (void)state;
    static const case_t CASES[] = {
        {RULE_LOGIC, "or(id.eq.1,name.like.*x)", "or(id = [1], name like [*x])"},
        {RULE_LOGIC, "not.and( a.is.null , or(b.in.(1,2),c->d.cs.{1,2}) )",
         "not and(a IS NULL, or(b = ANY [1] [2], c-J[d] @> [{1,2}]))"},
        {RULE_LOGIC, "and(a.eq.\"x,)\",b.neq.2)", "and(a = [x,)], b <> [2])"},
        {RULE_LOGIC, "or()",
         "(line 1, column 4): unexpected \")\" expecting field name (* or [a..z0..9_$]), negation operator "
         "(not) or "
         "logic operator (and, or)"},
        {RULE_LOGIC, "or(id.in.1,2,id.eq.3)", "(line 1, column 10): unexpected \"1\" expecting \"(\""},
        {RULE_LOGIC, "or)(", "(line 1, column 3): unexpected \")\" expecting \"(\""},
        {RULE_LOGIC, "and(ord(id.eq.1,id.eq.1),id.eq.2)",
         "(line 1, column 7): unexpected \"d\" expecting \"(\""},
        {RULE_LOGIC, "or(id.eq.1,not.xor(id.eq.2,id.eq.3))",
         "(line 1, column 16): unexpected \"x\" expecting logic operator (and, or)"},
        {RULE_LOGIC, "or(or(or(or(or(a.eq.1)))))", "limit: levels of and/or"},
    };
    CHECK(CASES);
}

static void names_may_be_quoted_dashed_and_spaced(void **state)
{
    (void)state;
    static const case_t CASES[] = {
        {RULE_NAME, "identifier with spaces", "identifier with spaces"},
        {RULE_NAME, " no leading or trailing spaces ", "no leading or trailing spaces"},
        {RULE_NAME, "\" leading and trailing spaces \"", " leading and trailing spaces "},
        {RULE_NAME, "a-b-c", "a-b-c"},
        {RULE_NAME, "$", "$"},
        {RULE_NAME, ":", "(line 1, column 1): unexpected \":\" expecting field name (* or [a..z0..9_$])"},
    };
    CHECK(CASES);
}

/* ---- whole query strings ---- */

static str_t show_query(pool_t *pool, const char *query, bool is_call_read)
{
    rest_request_t request = {0};
    rest_query_range_t range;
    buf_t out;
    buf_init(&out, pool, 128);
    err_t *err = rest_parse_query(&SETTINGS, pool, str_from_c(query), is_call_read, &request, &range);
    if (err != NULL)
        return pool_printf(pool, "%.*s %.*s | %.*s", STR_ARG(err->code), STR_ARG(err->message),
                           STR_ARG(err->details));
    buf_printf(&out, "%.*s ;", STR_ARG(request.canonical_query));
    for (uint32_t i = 0; i < request.filter_count; i++) {
        buf_append_char(&out, ' ');
        for (uint32_t j = 0; j < request.filters[i].path.count; j++)
            buf_printf(&out, "%.*s/", STR_ARG(request.filters[i].path.names[j]));
        show_logic(&out, &request.filters[i].tree);
    }
    for (uint32_t i = 0; i < request.param_count; i++)
        buf_printf(&out, " %.*s:=%.*s", STR_ARG(request.params[i].name), STR_ARG(request.params[i].value));
    for (uint32_t i = 0; i < request.logic_count; i++) {
        buf_append_char(&out, ' ');
        for (uint32_t j = 0; j < request.logic[i].path.count; j++)
            buf_printf(&out, "%.*s/", STR_ARG(request.logic[i].path.names[j]));
        show_logic(&out, &request.logic[i].tree);
    }
    for (uint32_t i = 0; i < request.level_range_count; i++)
        buf_printf(&out, " %.*s[%d,%d]", STR_ARG(request.level_ranges[i].path.names[0]),
                   (int)request.level_ranges[i].range.offset, (int)request.level_ranges[i].range.limit);
    return buf_str(&out);
}

static void query_strings_are_sorted_into_their_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        bool is_call_read;
        const char *expected;
    } CASES[] = {
        {"a=eq.1&c=eq.3&b=eq.2&d", false, "a=eq.1&b=eq.2&c=eq.3&d= ; a = [1] c = [3] b = [2]"},
        {"a.b=eq.0", false, "a.b=eq.0 ; a/b = [0]"},
        {"a.b.not.or=(x.eq.1,y.eq.2)", false,
         "a.b.not.or=%28x.eq.1%2Cy.eq.2%29 ; a/b/not or(x = [1], y = [2])"},
        {"n=eq.a%20b+c%2", false, "n=eq.a%20b%20c%252 ; n = [a b c%2]"},
        {"v=1&v=eq.2&v=x", true, "v=1,eq.2,x ; v = [2] v:=1 v:=x"},
        {"kids.limit=3&kids.offset=1", false, "kids.limit=3&kids.offset=1 ; kids[1,3]"},
        {"id=val", false,
         "PGRST100 \"failed to parse filter (val)\" (line 1, column 1) | unexpected \"v\" expecting \"not\" "
         "or "
         "operator (eq, gt, ...)"},
        {"a=eq.%00", false, "22021 invalid byte sequence for encoding \"UTF8\": 0x00 | "},
        {"a=eq.%ff", false, "22021 invalid byte sequence for encoding \"UTF8\" | "},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        pool_t *pool = pool_create();
        str_t got = show_query(pool, CASES[i].query, CASES[i].is_call_read);
        if (!str_eq(got, str_from_c(CASES[i].expected)))
            fail_msg("`%s`\n  expected %s\n  got      %.*s", CASES[i].query, CASES[i].expected, STR_ARG(got));
        pool_destroy(pool);
    }
}

/* Repeats `unit` n times behind `head`. */
static str_t repeat(pool_t *pool, const char *head, const char *unit, size_t n)
{
    buf_t out;
    buf_init(&out, pool, 64);
    buf_append_str(&out, str_from_c(head));
    for (size_t i = 0; i < n; i++)
        buf_append_str(&out, str_from_c(unit));
    return buf_str(&out);
}

static void hostile_query_strings_end_in_an_error(void **state)
{
    (void)state;
    static const char *const UNITS[] = {"(", "a(", "and(", "\"", "\\",      "->", "a:",   "!x",
                                        ",", ".",  "...",  "::", "x.eq.1&", "%",  "not.", "in.("};
    static const char *const HEADS[] = {"select=", "order=", "and=(", "a=in.(", "a=", ""};
    for (size_t h = 0; h < sizeof(HEADS) / sizeof(HEADS[0]); h++) {
        for (size_t u = 0; u < sizeof(UNITS) / sizeof(UNITS[0]); u++) {
            pool_t *pool = pool_create();
            rest_request_t request = {0};
            rest_query_range_t range;
            err_t *err = rest_parse_query(&SETTINGS, pool, repeat(pool, HEADS[h], UNITS[u], 2000), false,
                                          &request, &range);
            if (err != NULL)
                assert_int_equal(err->status, 400);
            pool_destroy(pool);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_lists_keep_aliases_casts_paths_and_embeds),
        cmocka_unit_test(select_mistakes_are_told_as_the_peer_tells_them),
        cmocka_unit_test(orders_name_direction_nulls_and_relations),
        cmocka_unit_test(filters_cover_every_operator_and_modifier),
        cmocka_unit_test(logic_trees_nest_and_quote),
        cmocka_unit_test(names_may_be_quoted_dashed_and_spaced),
        cmocka_unit_test(query_strings_are_sorted_into_their_kinds),
        cmocka_unit_test(hostile_query_strings_end_in_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
