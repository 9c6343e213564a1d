#include "schema/dump.h"

static void emit_name(emit_t *e, const schema_name_t *name)
{
    emit_object_begin(e);
    emit_kv_string(e, "qiName", name->name);
    emit_kv_string(e, "qiSchema", name->schema);
    emit_object_end(e);
}

static void emit_strings(emit_t *e, const str_t *items, size_t count)
{
    emit_array_begin(e);
    for (size_t i = 0; i < count; i++)
        emit_string(e, items[i]);
    emit_array_end(e);
}

static void emit_column(emit_t *e, const schema_column_t *c)
{
    emit_object_begin(e);
    emit_kv_string(e, "colName", c->name);
    emit_kv_string(e, "colDescription", c->comment);
    emit_kv_bool(e, "colNullable", c->is_nullable);
    emit_kv_string(e, "colType", c->base_type);
    emit_kv_string(e, "colNominalType", c->type);
    emit_key(e, STR("colMaxLen"));
    if (c->max_length > 0)
        emit_int(e, c->max_length);
    else
        emit_null(e);
    emit_kv_string(e, "colDefault", c->default_value);
    emit_key(e, STR("colEnum"));
    emit_strings(e, c->enum_values, c->enum_count);
    emit_object_end(e);
}

static void emit_table(emit_t *e, const schema_table_t *t)
{
    emit_array_begin(e);
    emit_name(e, &(schema_name_t){t->schema, t->name});
    emit_object_begin(e);
    emit_kv_string(e, "tableSchema", t->schema);
    emit_kv_string(e, "tableName", t->name);
    emit_kv_string(e, "tableDescription", t->comment);
    emit_kv_bool(e, "tableIsView", t->is_view);
    emit_kv_bool(e, "tableInsertable", t->is_insertable);
    emit_kv_bool(e, "tableUpdatable", t->is_updatable);
    emit_kv_bool(e, "tableDeletable", t->is_deletable);
    emit_key(e, STR("tablePKCols"));
    emit_strings(e, t->primary_key, t->primary_key_count);
    emit_key(e, STR("tableColumns"));
    emit_object_begin(e);
    for (size_t i = 0; i < t->column_count; i++) {
        emit_key(e, t->columns[i].name);
        emit_column(e, &t->columns[i]);
    }
    emit_object_end(e);
    emit_object_end(e);
    emit_array_end(e);
}

static void emit_pairs(emit_t *e, const schema_column_pair_t *pairs, size_t count)
{
    emit_array_begin(e);
    for (size_t i = 0; i < count; i++) {
        const str_t pair[] = {pairs[i].from, pairs[i].to};
        emit_strings(e, pair, 2);
    }
    emit_array_end(e);
}

static void emit_relation(emit_t *e, const schema_relation_t *r)
{
    static const char *const KINDS[] = {"O2M", "M2O", "O2O", "M2M", "computed"};
    emit_object_begin(e);
    emit_kv_string(e, "relCardinality", str_from_c(KINDS[r->kind]));
    emit_key(e, STR("relTable"));
    emit_name(e, &r->table);
    emit_key(e, STR("relForeignTable"));
    emit_name(e, &r->foreign);
    emit_kv_bool(e, "relIsSelf", r->is_self);
    emit_kv_bool(e, "relToOne", r->is_to_one);
    if (r->kind == SCHEMA_REL_COMPUTED) {
        emit_key(e, STR("relFunction"));
        emit_name(e, &r->function);
    } else if (r->kind == SCHEMA_REL_M2M) {
        emit_key(e, STR("junTable"));
        emit_name(e, &r->junction);
        emit_kv_string(e, "junConstraint1", r->constraint_1);
        emit_kv_string(e, "junConstraint2", r->constraint_2);
        emit_key(e, STR("junColsSource"));
        emit_pairs(e, r->source_pairs, r->source_count);
        emit_key(e, STR("junColsTarget"));
        emit_pairs(e, r->target_pairs, r->target_count);
    } else {
        emit_kv_string(e, "relCons", r->constraint);
        emit_key(e, STR("relColumns"));
        emit_pairs(e, r->pairs, r->pair_count);
    }
    emit_object_end(e);
}

static void emit_routine(emit_t *e, const schema_routine_t *f)
{
    static const char *const VOLATILITIES[] = {"Volatile", "Stable", "Immutable"};
    emit_object_begin(e);
    emit_kv_string(e, "pdSchema", f->schema);
    emit_kv_string(e, "pdName", f->name);
    emit_kv_string(e, "pdDescription", f->comment);
    emit_kv_string(e, "pdVolatility", str_from_c(VOLATILITIES[f->volatility]));
    emit_kv_bool(e, "pdHasVariadic", f->has_variadic);
    emit_key(e, STR("pdReturnType"));
    emit_name(e, &f->return_type);
    emit_kv_bool(e, "pdReturnsSet", f->returns_set);
    emit_kv_bool(e, "pdReturnsComposite", f->returns_composite);
    emit_key(e, STR("pdParams"));
    emit_array_begin(e);
    for (size_t i = 0; i < f->parameter_count; i++) {
        emit_object_begin(e);
        emit_kv_string(e, "ppName", f->parameters[i].name);
        emit_kv_string(e, "ppType", f->parameters[i].type);
        emit_kv_bool(e, "ppReq", f->parameters[i].is_required);
        emit_kv_bool(e, "ppVar", f->parameters[i].is_variadic);
        emit_object_end(e);
    }
    emit_array_end(e);
    emit_object_end(e);
}

static void emit_others(emit_t *e, const schema_snapshot_t *s)
{
    emit_key(e, STR("dbRepresentations"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->representation_count; i++) {
        emit_object_begin(e);
        emit_kv_string(e, "drSourceType", s->representations[i].source);
        emit_kv_string(e, "drTargetType", s->representations[i].target);
        emit_kv_string(e, "drFunction", s->representations[i].function);
        emit_object_end(e);
    }
    emit_array_end(e);
    emit_key(e, STR("dbMediaHandlers"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->handler_count; i++) {
        emit_object_begin(e);
        emit_kv_string(e, "mediaType", s->handlers[i].media_type);
        emit_key(e, STR("function"));
        emit_name(e, &s->handlers[i].function);
        emit_key(e, STR("target"));
        emit_name(e, &s->handlers[i].target);
        emit_object_end(e);
    }
    emit_array_end(e);
}

void schema_dump(emit_t *e, const schema_snapshot_t *s)
{
    emit_key(e, STR("dbTables"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->table_count; i++)
        emit_table(e, s->tables[i]);
    emit_array_end(e);
    emit_key(e, STR("dbRelationships"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->table_count; i++)
        for (size_t k = 0; k < s->tables[i]->relation_count; k++)
            emit_relation(e, s->tables[i]->relations[k]);
    emit_array_end(e);
    emit_key(e, STR("dbRoutines"));
    emit_array_begin(e);
    for (size_t i = 0; i < s->overload_count; i++)
        for (size_t k = 0; k < s->overloads[i]->count; k++)
            emit_routine(e, s->overloads[i]->routines[k]);
    emit_array_end(e);
    emit_others(e, s);
}
