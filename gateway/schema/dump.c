#include "schema/dump.h"

static void emit_name(emit_t *e, str_t schema, str_t name)
{
    emit_object_begin(e);
    emit_kv_string(e, "qiName", name);
    emit_kv_string(e, "qiSchema", schema);
    emit_object_end(e);
}

static void emit_kv_name(emit_t *e, str_t key, const schema_name_t *name)
{
    emit_key(e, key);
    emit_name(e, name->schema, name->name);
}

static void emit_strings(emit_t *e, const str_t *items, size_t count)
{
    emit_array_begin(e);
    for (size_t i = 0; i < count; i++)
        emit_string(e, items[i]);
    emit_array_end(e);
}

/* A value of a type with alternatives: {"tag": which, "contents": ..}; the caller writes what is in it and
 * closes the object. */
static void emit_tag(emit_t *e, str_t tag)
{
    emit_object_begin(e);
    emit_kv_string(e, "tag", tag);
}

/* --- tables --- */

static void emit_column(emit_t *e, const schema_column_t *c)
{
    emit_object_begin(e);
    emit_kv_string(e, "colDefault", c->default_value);
    emit_kv_string(e, "colDescription", c->comment);
    emit_key(e, STR("colEnum"));
    emit_strings(e, c->enum_values, c->enum_count);
    emit_key(e, STR("colMaxLen"));
    if (c->max_length > 0)
        emit_int(e, c->max_length);
    else
        emit_null(e);
    emit_kv_string(e, "colName", c->name);
    emit_kv_string(e, "colNominalType", c->type);
    emit_kv_bool(e, "colNullable", c->is_nullable);
    emit_kv_string(e, "colType", c->base_type);
    emit_object_end(e);
}

static void emit_table(emit_t *e, const schema_table_t *t)
{
    emit_array_begin(e);
    emit_name(e, t->schema, t->name);
    emit_object_begin(e);
    emit_key(e, STR("tableColumns"));
    emit_object_begin(e);
    for (size_t i = 0; i < t->column_count; i++) {
        emit_key(e, t->columns[i].name);
        emit_column(e, &t->columns[i]);
    }
    emit_object_end(e);
    emit_kv_bool(e, "tableDeletable", t->is_deletable);
    emit_kv_string(e, "tableDescription", t->comment);
    emit_kv_bool(e, "tableInsertable", t->is_insertable);
    emit_kv_bool(e, "tableIsView", t->is_view);
    emit_kv_string(e, "tableName", t->name);
    emit_key(e, STR("tablePKCols"));
    emit_strings(e, t->primary_key, t->primary_key_count);
    emit_kv_string(e, "tableSchema", t->schema);
    emit_kv_bool(e, "tableUpdatable", t->is_updatable);
    emit_object_end(e);
    emit_array_end(e);
}

/* --- relationships: those from one table into one schema stand together --- */

static void emit_pairs(emit_t *e, str_t key, const schema_column_pair_t *pairs, size_t count)
{
    emit_key(e, key);
    emit_array_begin(e);
    for (size_t i = 0; i < count; i++) {
        const str_t pair[] = {pairs[i].from, pairs[i].to};
        emit_strings(e, pair, 2);
    }
    emit_array_end(e);
}

static void emit_cardinality(emit_t *e, const schema_relation_t *r)
{
    static const char *const KINDS[] = {"O2M", "M2O", "O2O", "M2M"};
    emit_tag(e, str_from_c(KINDS[r->kind]));
    if (r->kind == SCHEMA_REL_M2M) {
        emit_key(e, STR("contents"));
        emit_object_begin(e);
        emit_pairs(e, STR("junColsSource"), r->source_pairs, r->source_count);
        emit_pairs(e, STR("junColsTarget"), r->target_pairs, r->target_count);
        emit_kv_string(e, "junConstraint1", r->constraint_1);
        emit_kv_string(e, "junConstraint2", r->constraint_2);
        emit_kv_name(e, STR("junTable"), &r->junction);
        emit_object_end(e);
    } else {
        if (r->kind == SCHEMA_REL_O2O)
            emit_kv_bool(e, "isParent", r->is_parent);
        emit_pairs(e, STR("relColumns"), r->pairs, r->pair_count);
        emit_kv_string(e, "relCons", r->constraint);
    }
    emit_object_end(e);
}

static void emit_relation(emit_t *e, const schema_relation_t *r)
{
    bool is_computed = r->kind == SCHEMA_REL_COMPUTED;
    emit_tag(e, is_computed ? STR("ComputedRelationship") : STR("Relationship"));
    if (is_computed) {
        emit_kv_name(e, STR("relFunction"), &r->function);
        emit_kv_name(e, STR("relTableAlias"), &(schema_name_t){STR(""), STR("")});
        emit_kv_bool(e, "relToOne", r->is_to_one);
    } else {
        emit_key(e, STR("relCardinality"));
        emit_cardinality(e, r);
        emit_kv_bool(e, "relFTableIsView", r->foreign_is_view);
        emit_kv_bool(e, "relTableIsView", r->table_is_view);
    }
    emit_kv_name(e, STR("relForeignTable"), &r->foreign);
    emit_kv_bool(e, "relIsSelf", r->is_self);
    emit_kv_name(e, STR("relTable"), &r->table);
    emit_object_end(e);
}

/* The schema under which a relationship is found: that of its function when it is computed. */
static str_t found_under(const schema_relation_t *r)
{
    return r->kind == SCHEMA_REL_COMPUTED ? r->function.schema : r->foreign.schema;
}

static void emit_relations(emit_t *e, const schema_table_t *t, str_t schema)
{
    bool is_open = false;
    for (size_t i = 0; i < t->relation_count; i++) {
        if (!str_eq(found_under(t->relations[i]), schema))
            continue;
        if (!is_open) {
            emit_array_begin(e);
            emit_array_begin(e);
            emit_name(e, t->schema, t->name);
            emit_string(e, schema);
            emit_array_end(e);
            emit_array_begin(e);
            is_open = true;
        }
        emit_relation(e, t->relations[i]);
    }
    if (is_open) {
        emit_array_end(e);
        emit_array_end(e);
    }
}

/* --- routines --- */

static void emit_return_type(emit_t *e, const schema_routine_t *f)
{
    emit_tag(e, f->returns_set ? STR("SetOf") : STR("Single"));
    emit_key(e, STR("contents"));
    emit_tag(e, f->returns_composite ? STR("Composite") : STR("Scalar"));
    emit_key(e, STR("contents"));
    if (f->returns_composite) {
        emit_array_begin(e);
        emit_name(e, f->return_type.schema, f->return_type.name);
        emit_bool(e, f->returns_composite_alias);
        emit_array_end(e);
    } else {
        emit_name(e, f->return_type.schema, f->return_type.name);
    }
    emit_object_end(e);
    emit_object_end(e);
}

static void emit_parameter(emit_t *e, const schema_parameter_t *p)
{
    emit_object_begin(e);
    emit_kv_string(e, "ppName", p->name);
    emit_kv_bool(e, "ppReq", p->is_required);
    emit_kv_string(e, "ppType", p->type);
    emit_kv_string(e, "ppTypeMaxLength", p->max_type);
    emit_kv_bool(e, "ppVar", p->is_variadic);
    emit_object_end(e);
}

static void emit_routine(emit_t *e, const schema_routine_t *f)
{
    static const char *const VOLATILITIES[] = {"Volatile", "Stable", "Immutable"};
    static const char *const LEVELS[] = {NULL, "ReadCommitted", "RepeatableRead", "Serializable"};
    emit_object_begin(e);
    emit_kv_string(e, "pdDescription", f->comment);
    emit_key(e, STR("pdFuncSettings"));
    emit_array_begin(e);
    for (size_t i = 0; i < f->setting_count; i++) {
        const str_t pair[] = {f->settings[i].name, f->settings[i].value};
        emit_strings(e, pair, 2);
    }
    emit_array_end(e);
    emit_kv_bool(e, "pdHasVariadic", f->has_variadic);
    emit_kv_string(e, "pdIsoLvl", LEVELS[f->isolation] != NULL ? str_from_c(LEVELS[f->isolation]) : STR_NULL);
    emit_kv_string(e, "pdName", f->name);
    emit_key(e, STR("pdParams"));
    emit_array_begin(e);
    for (size_t i = 0; i < f->parameter_count; i++)
        emit_parameter(e, &f->parameters[i]);
    emit_array_end(e);
    emit_key(e, STR("pdReturnType"));
    emit_return_type(e, f);
    emit_kv_string(e, "pdSchema", f->schema);
    emit_kv_string(e, "pdVolatility", str_from_c(VOLATILITIES[f->volatility]));
    emit_object_end(e);
}

static void emit_overloads(emit_t *e, const schema_overloads_t *overloads)
{
    emit_array_begin(e);
    emit_name(e, overloads->name.schema, overloads->name.name);
    emit_array_begin(e);
    for (size_t i = 0; i < overloads->count; i++)
        emit_routine(e, overloads->routines[i]);
    emit_array_end(e);
    emit_array_end(e);
}

/* --- representations and media types --- */

static void emit_representation(emit_t *e, const schema_representation_t *r)
{
    const str_t key[] = {r->source, r->target};
    emit_array_begin(e);
    emit_strings(e, key, 2);
    emit_object_begin(e);
    emit_kv_string(e, "drFunction", r->function);
    emit_kv_string(e, "drSourceType", r->source);
    emit_kv_string(e, "drTargetType", r->target);
    emit_object_end(e);
    emit_array_end(e);
}

typedef struct {
    const char *type, *tag;
    const char
        *own_handler; /* what serves it for every relation when the database has nothing; may be NULL */
    const char *resolved_tag;
} media_word_t;

static const media_word_t MEDIA_WORDS[] = {
    {"text/csv", "MTTextCSV", "BuiltinOvAggCsv", "MTTextCSV"},
    {"application/geo+json", "MTGeoJSON", "BuiltinOvAggGeoJson", "MTGeoJSON"},
    {"application/json", "MTApplicationJSON", "BuiltinOvAggJson", "MTApplicationJSON"},
    {"*/*", "MTAny", "BuiltinOvAggJson", "MTApplicationJSON"},
    {"text/plain", "MTTextPlain", NULL, NULL},
    {"text/xml", "MTTextXML", NULL, NULL},
    {"application/openapi+json", "MTOpenAPI", NULL, NULL},
    {"application/x-www-form-urlencoded", "MTUrlEncoded", NULL, NULL},
    {"application/octet-stream", "MTOctetStream", NULL, NULL},
};
#define MEDIA_WORD_COUNT (sizeof(MEDIA_WORDS) / sizeof(MEDIA_WORDS[0]))

static void emit_media_type(emit_t *e, str_t type)
{
    str_t tag = STR_NULL;
    for (size_t i = 0; i < MEDIA_WORD_COUNT; i++)
        if (str_eq(type, str_from_c(MEDIA_WORDS[i].type)))
            tag = str_from_c(MEDIA_WORDS[i].tag);
    emit_tag(e, str_is_null(tag) ? STR("MTOther") : tag);
    if (str_is_null(tag))
        emit_kv_string(e, "contents", type);
    emit_object_end(e);
}

static void emit_target(emit_t *e, const schema_media_handler_t *h)
{
    emit_tag(e, h->is_any_element ? STR("RelAnyElement") : STR("RelId"));
    if (!h->is_any_element)
        emit_kv_name(e, STR("contents"), &h->target);
    emit_object_end(e);
}

static void emit_handler(emit_t *e, const schema_media_handler_t *h)
{
    emit_array_begin(e);
    emit_array_begin(e);
    emit_target(e, h);
    emit_media_type(e, h->media_type);
    emit_array_end(e);
    emit_array_begin(e);
    emit_tag(e, STR("CustomFunc"));
    emit_key(e, STR("contents"));
    emit_array_begin(e);
    emit_name(e, h->function.schema, h->function.name);
    emit_target(e, h);
    emit_array_end(e);
    emit_object_end(e);
    emit_media_type(e, h->resolved_type);
    emit_array_end(e);
    emit_array_end(e);
}

/* What the gateway itself does for every relation, unless the database replaces it. */
static void emit_own_handler(emit_t *e, const schema_snapshot_t *s, const media_word_t *word)
{
    const schema_media_handler_t *other = schema_media_handler(s, NULL, str_from_c(word->type));
    if (word->own_handler == NULL || other != NULL)
        return;
    emit_array_begin(e);
    emit_array_begin(e);
    emit_tag(e, STR("RelAnyElement"));
    emit_object_end(e);
    emit_tag(e, str_from_c(word->tag));
    emit_object_end(e);
    emit_array_end(e);
    emit_array_begin(e);
    emit_tag(e, str_from_c(word->own_handler));
    emit_object_end(e);
    emit_tag(e, str_from_c(word->resolved_tag));
    emit_object_end(e);
    emit_array_end(e);
    emit_array_end(e);
}

/* --- door --- */

static void emit_parts(emit_t *e, const schema_snapshot_t *s)
{
    emit_key(e, STR("dbRelationships"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->table_count; i++)
        for (size_t k = 0; k < s->schema_count; k++)
            emit_relations(e, s->tables[i], s->schemas[k]);
    emit_array_end(e);
    emit_key(e, STR("dbRepresentations"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->representation_count; i++)
        emit_representation(e, &s->representations[i]);
    emit_array_end(e);
    emit_key(e, STR("dbRoutines"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->overload_count; i++)
        emit_overloads(e, s->overloads[i]);
    emit_array_end(e);
    emit_key(e, STR("dbTables"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->table_count; i++)
        emit_table(e, s->tables[i]);
    emit_array_end(e);
}

void schema_dump(const schema_snapshot_t *s, buf_t *out)
{
    emit_t emit, *e = &emit;
    emit_init(e, out);
    emit_object_begin(e);
    emit_key(e, STR("dbMediaHandlers"));
    emit_array_begin(e);
    for (size_t i = 0; i < MEDIA_WORD_COUNT; i++)
        emit_own_handler(e, s, &MEDIA_WORDS[i]);
    for (size_t i = 0; i < s->handler_count; i++)
        emit_handler(e, &s->handlers[i]);
    emit_array_end(e);
    emit_parts(e, s);
    emit_object_end(e);
}
