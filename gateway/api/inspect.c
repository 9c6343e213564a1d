#include "api/inspect.h"

#include "base/emit.h"

#include <stdlib.h>

#define ENTRIES_MAX 24

struct api_inspect {
    struct {
        const char *name;
        void (*write)(void *arg, buf_t *out);
        void *arg;
    } views[ENTRIES_MAX];
    struct {
        const char *why;
        bool (*is_ready)(void *arg);
        void *arg;
    } checks[ENTRIES_MAX];
    size_t view_count, check_count;
};

struct api_inspect *api_inspect_create(void)
{
    struct api_inspect *inspect = calloc(1, sizeof(*inspect));
    if (inspect == NULL)
        abort();
    return inspect;
}

void api_inspect_destroy(struct api_inspect *inspect)
{
    free(inspect);
}

void api_inspect_add(gateway_t *gateway, const char *name, void (*write)(void *arg, buf_t *out), void *arg)
{
    struct api_inspect *inspect = gateway->inspect;
    if (inspect->view_count == ENTRIES_MAX)
        abort(); /* a wiring mistake, met at start */
    inspect->views[inspect->view_count].name = name;
    inspect->views[inspect->view_count].write = write;
    inspect->views[inspect->view_count++].arg = arg;
}

void api_ready_add(gateway_t *gateway, const char *why, bool (*is_ready)(void *arg), void *arg)
{
    struct api_inspect *inspect = gateway->inspect;
    if (inspect->check_count == ENTRIES_MAX)
        abort();
    inspect->checks[inspect->check_count].why = why;
    inspect->checks[inspect->check_count].is_ready = is_ready;
    inspect->checks[inspect->check_count++].arg = arg;
}

bool api_inspect_write(gateway_t *gateway, str_t name, buf_t *out)
{
    const struct api_inspect *inspect = gateway->inspect;
    for (size_t i = 0; i < inspect->view_count; i++) {
        if (str_eq(name, str_from_c(inspect->views[i].name))) {
            inspect->views[i].write(inspect->views[i].arg, out);
            return true;
        }
    }
    return false;
}

void api_inspect_names(gateway_t *gateway, buf_t *out)
{
    emit_t emit;
    emit_init(&emit, out);
    emit_array_begin(&emit);
    for (size_t i = 0; i < gateway->inspect->view_count; i++)
        emit_string(&emit, str_from_c(gateway->inspect->views[i].name));
    emit_array_end(&emit);
}

const char *api_not_ready(gateway_t *gateway)
{
    const struct api_inspect *inspect = gateway->inspect;
    for (size_t i = 0; i < inspect->check_count; i++) {
        if (!inspect->checks[i].is_ready(inspect->checks[i].arg))
            return inspect->checks[i].why;
    }
    return NULL;
}
