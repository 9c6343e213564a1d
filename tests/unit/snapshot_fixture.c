#include "snapshot_fixture.h"

#include "schema/build.h"

#define ROW_MAX 16

typedef struct {
    schema_rows_t kind;
    const char *values[ROW_MAX]; /* NULL = NULL; the width is that of the statement */
} fixture_row_t;

#define TABLE(oid, name, kind, comment)                                                                      \
    {                                                                                                        \
        SCHEMA_ROWS_RELATIONS,                                                                               \
        {                                                                                                    \
            oid, "api", name, kind, comment, "28"                                                            \
        }                                                                                                    \
    }
#define COLUMN(rel, num, name, type, fallback, nullable)                                                     \
    {                                                                                                        \
        SCHEMA_ROWS_COLUMNS,                                                                                 \
        {                                                                                                    \
            rel, num, name, NULL, type, "-1", fallback, nullable, "f"                                        \
        }                                                                                                    \
    }
#define TYPE(oid, name, flags)                                                                               \
    {                                                                                                        \
        SCHEMA_ROWS_FACTS,                                                                                   \
        {                                                                                                    \
            "type", oid, "-1", name, name, oid, NULL, flags, "0"                                             \
        }                                                                                                    \
    }
#define KEY(oid, type, name, rel, relname, num, column)                                                      \
    {                                                                                                        \
        SCHEMA_ROWS_CONSTRAINTS,                                                                             \
        {                                                                                                    \
            oid, type, name, "t", rel, "api", relname, "r", num, column, "0", NULL, NULL, NULL, NULL         \
        }                                                                                                    \
    }
#define FOREIGN(oid, name, rel, relname, num, column, other, othername, othernum, othercolumn)               \
    {                                                                                                        \
        SCHEMA_ROWS_CONSTRAINTS,                                                                             \
        {                                                                                                    \
            oid, "f", name, "t", rel, "api", relname, "r", num, column, other, "api", othername, othernum,   \
                othercolumn                                                                                  \
        }                                                                                                    \
    }
#define ROUTINE(oid, name, rettype, retoid, set, composite, volatility)                                      \
    {                                                                                                        \
        SCHEMA_ROWS_ROUTINES,                                                                                \
        {                                                                                                    \
            oid, "api", name, NULL, "api", rettype, retoid, set, composite, "f", "t", volatility, "f"        \
        }                                                                                                    \
    }
#define PARAMETER(oid, name, type, typeoid, required)                                                        \
    {                                                                                                        \
        SCHEMA_ROWS_PARAMETERS,                                                                              \
        {                                                                                                    \
            oid, name, type, type, typeoid, required, "f"                                                    \
        }                                                                                                    \
    }

/* What pg_rewrite holds for `create view projects_view as select p.id, p.client_id as owner, upper(name) ..`.
 * A subquery's target list comes before the outer one's, and a column name contains a brace. */
static const char VIEW_TREE[] =
    "({QUERY :commandType 1 :rtable ({RANGETBLENTRY :eref {ALIAS :aliasname p :colnames (\"id\" "
    "\"we\\}ird\")} "
    ":subquery {QUERY :commandType 1 :targetList ({TARGETENTRY :resno 1 :resorigtbl 12 :resorigcol 1 "
    ":resjunk "
    "false}) :rtable <>}}) :targetList ({TARGETENTRY :expr {VAR :varno 1} :resno 1 :resname id "
    ":ressortgroupref 0 "
    ":resorigtbl 11 :resorigcol 1 :resjunk false} {TARGETENTRY :expr {VAR :varno 1} :resno 2 :resname owner "
    ":ressortgroupref 0 :resorigtbl 11 :resorigcol 3 :resjunk false} {TARGETENTRY :expr {FUNCEXPR :args "
    "({VAR "
    ":varno 1})} :resno 3 :resname shout :ressortgroupref 0 :resorigtbl 0 :resorigcol 0 :resjunk false}) "
    ":override "
    "0})";

static const fixture_row_t ROWS[] = {
    TABLE("10", "clients", "r", NULL),
    TABLE("11", "projects", "r", "Projects\n\nof clients"),
    TABLE("12", "tasks", "r", NULL),
    TABLE("13", "users", "r", NULL),
    TABLE("14", "users_tasks", "r", NULL),
    TABLE("15", "project_details", "r", NULL),
    TABLE("16", "settings", "r", "Settings. @basalt.expand_star"),
    TABLE("17", "reviews", "r", NULL),
    TABLE("20", "projects_view", "v", NULL),
    COLUMN("10", "1", "id", "23", NULL, "f"),
    COLUMN("10", "2", "name", "25", NULL, "t"),
    COLUMN("11", "1", "id", "23", "nextval('api.projects_id_seq'::regclass)", "f"),
    COLUMN("11", "2", "name", "25", NULL, "t"),
    COLUMN("11", "3", "client_id", "23", NULL, "t"),
    COLUMN("11", "4", "tags", "1009", NULL, "t"),
    COLUMN("11", "5", "data", "3802", NULL, "t"),
    COLUMN("12", "1", "id", "23", NULL, "f"),
    COLUMN("12", "2", "name", "25", NULL, "t"),
    COLUMN("12", "3", "project_id", "23", NULL, "t"),
    COLUMN("13", "1", "id", "23", NULL, "f"),
    COLUMN("13", "2", "name", "25", NULL, "t"),
    COLUMN("14", "1", "user_id", "23", NULL, "f"),
    COLUMN("14", "2", "task_id", "23", NULL, "f"),
    COLUMN("15", "1", "project_id", "23", NULL, "f"),
    COLUMN("15", "2", "notes", "900", NULL, "t"),
    COLUMN("16", "1", "id", "23", NULL, "f"),
    COLUMN("16", "2", "secret", "25", NULL, "t"),
    COLUMN("16", "3", "label", "25", "'none'::text", "t"),
    COLUMN("17", "1", "author_id", "23", NULL, "f"),
    COLUMN("17", "2", "checker_id", "23", NULL, "t"),
    COLUMN("20", "1", "id", "23", NULL, "t"),
    COLUMN("20", "2", "owner", "23", NULL, "t"),
    COLUMN("20", "3", "shout", "25", NULL, "t"),
    KEY("100", "p", "clients_pkey", "10", "clients", "1", "id"),
    KEY("101", "p", "projects_pkey", "11", "projects", "1", "id"),
    FOREIGN("102", "projects_client_fkey", "11", "projects", "3", "client_id", "10", "clients", "1", "id"),
    KEY("103", "p", "tasks_pkey", "12", "tasks", "1", "id"),
    FOREIGN("104", "tasks_project_fkey", "12", "tasks", "3", "project_id", "11", "projects", "1", "id"),
    KEY("105", "p", "users_pkey", "13", "users", "1", "id"),
    KEY("106", "p", "users_tasks_pkey", "14", "users_tasks", "1", "user_id"),
    KEY("106", "p", "users_tasks_pkey", "14", "users_tasks", "2", "task_id"),
    FOREIGN("107", "users_tasks_task_fkey", "14", "users_tasks", "2", "task_id", "12", "tasks", "1", "id"),
    FOREIGN("108", "users_tasks_user_fkey", "14", "users_tasks", "1", "user_id", "13", "users", "1", "id"),
    KEY("109", "p", "project_details_pkey", "15", "project_details", "1", "project_id"),
    FOREIGN("110", "project_details_fkey", "15", "project_details", "1", "project_id", "11", "projects", "1",
            "id"),
    KEY("111", "p", "settings_pkey", "16", "settings", "1", "id"),
    FOREIGN("112", "reviews_author_fkey", "17", "reviews", "1", "author_id", "13", "users", "1", "id"),
    FOREIGN("113", "reviews_checker_fkey", "17", "reviews", "2", "checker_id", "13", "users", "1", "id"),
    {SCHEMA_ROWS_VIEWS, {"20", "t", VIEW_TREE}},
    ROUTINE("200", "add", "int4", "23", "f", "f", "i"),
    ROUTINE("201", "add", "int4", "23", "f", "f", "i"),
    ROUTINE("202", "find_projects", "projects", "11", "t", "t", "s"),
    ROUTINE("203", "take_json", "text", "25", "f", "f", "v"),
    ROUTINE("204", "no_names", "text", "25", "f", "f", "v"),
    ROUTINE("205", "report", "record", "2249", "t", "t", "v"),
    ROUTINE("206", "summary", "record", "2249", "t", "t", "v"),
    ROUTINE("207", "days", "record", "2249", "t", "t", "v"),
    PARAMETER("200", "a", "integer", "23", "t"),
    PARAMETER("200", "b", "integer", "23", "t"),
    PARAMETER("200", "c", "integer", "23", "f"),
    PARAMETER("201", "a", "integer", "23", "t"),
    PARAMETER("202", "term", "text", "25", "f"),
    PARAMETER("203", "", "json", "114", "t"),
    PARAMETER("204", "", "integer", "23", "t"),
    PARAMETER("204", "", "integer", "23", "t"),
    {SCHEMA_ROWS_RESULTS, {"206", "1", "day", "date", "t"}},
    {SCHEMA_ROWS_RESULTS, {"206", "2", "hits", "integer[]", "f"}},
    {SCHEMA_ROWS_RESULTS, {"207", "1", "day", "date", "t"}},
    TYPE("23", "integer", "ffft"),
    TYPE("25", "text", "ffft"),
    TYPE("900", "api.note", "ffft"),
    TYPE("1009", "text[]", "ftff"),
    TYPE("3802", "jsonb", "ffft"),
    {SCHEMA_ROWS_FACTS, {"cast", "api.note", "json", "api.note_to_json", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"cast", "json", "api.note", "api.note_from_json", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"cast", "text", "api.note", "api.note_from_text", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"computed", "api", "lead_task", "api", "projects", "api", "tasks", "true"}},
    {SCHEMA_ROWS_FACTS, {"media", "api", "rows_xml", "api", "projects", "text/xml", "text/xml", "false"}},
    {SCHEMA_ROWS_FACTS,
     {"isolation", "202", "default_transaction_isolation", "serializable", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"setting", "202", "statement_timeout", "1s", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"role", "web", "statement_timeout", "8s", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"becomes", "web", NULL, NULL, NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"becomes", "blind", NULL, NULL, NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"hidden", "blind", "10", NULL, NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"hidden_routine", "blind", "202", NULL, NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"readable", "16", "web", "id", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"readable", "16", "owner", "id", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"readable", "16", "owner", "secret", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"readable", "16", "web", "label", NULL, NULL, NULL, NULL}},
    {SCHEMA_ROWS_FACTS, {"readable", "16", "owner", "label", NULL, NULL, NULL, NULL}},
};

schema_snapshot_t *snapshot_fixture(void)
{
    static const size_t WIDTH[SCHEMA_ROWS_COUNT] = {6, 9, 15, 3, 13, 7, 5, 9};
    str_t schemas[] = {STR("api")};
    schema_build_t *build = schema_build_create(schemas, 1);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
        str_t values[ROW_MAX];
        for (size_t k = 0; k < WIDTH[ROWS[i].kind]; k++)
            values[k] = str_from_c(ROWS[i].values[k]);
        schema_build_row(build, ROWS[i].kind, values, WIDTH[ROWS[i].kind]);
    }
    schema_snapshot_t *snapshot = schema_build_finish(build, 1);
    schema_build_destroy(build);
    return snapshot;
}
