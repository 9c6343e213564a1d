/* Reads {"type","address","share","path","username","password","timeout_ms","files_max"}, writes
 * {"files":[...]} or {"error":"..."}. */
#include "functions/share_list/list.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMORY_MAX (1u << 30)
#define CPU_SECONDS 10

bool list_add(const share_t *share, json_t *files, const char *name)
{
    size_t len = strlen(name);
    bool is_image =
        len > 4 && (strcasecmp(name + len - 4, ".iso") == 0 || strcasecmp(name + len - 4, ".img") == 0);
    if (is_image)
        json_array_append_new(files, json_string(name)); /* refuses what is not UTF-8 */
    return json_array_size(files) < share->files_max;
}

/* What a hostile server can make a library do stays small, and does not outlive the gateway. */
static void confine(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_CPU, &(struct rlimit){CPU_SECONDS, CPU_SECONDS});
#ifndef __SANITIZE_ADDRESS__
    setrlimit(RLIMIT_AS, &(struct rlimit){MEMORY_MAX, MEMORY_MAX});
#endif
}

static const char *text(const json_t *request, const char *name)
{
    const char *value = json_string_value(json_object_get(request, name));
    return value != NULL ? value : "";
}

int main(void)
{
    confine();
    json_t *request = json_loadf(stdin, 0, NULL), *answer = json_object(), *files = json_array();
    if (request == NULL)
        return 2;
    share_t share = {.address = text(request, "address"),
                     .share = text(request, "share"),
                     .path = text(request, "path"),
                     .username = text(request, "username"),
                     .password = text(request, "password"),
                     .timeout_ms = (int)json_integer_value(json_object_get(request, "timeout_ms")),
                     .files_max = (size_t)json_integer_value(json_object_get(request, "files_max"))};
    if (!list_only_to(share.address))
        return 2;
    const char *trouble =
        strcmp(text(request, "type"), "cifs") == 0 ? list_smb(&share, files) : list_nfs(&share, files);
    json_object_set_new(answer, "files", files);
    if (trouble != NULL)
        json_object_set_new(answer, "error", json_string_nocheck(trouble));
    int status = json_dumpf(answer, stdout, JSON_COMPACT) == 0 && fflush(stdout) == 0 ? 0 : 2;
    _exit(status); /* nothing of the libraries needs an orderly end */
}
