#include "functions/share_list/list.h"

#include <nfsc/libnfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX 300

static char trouble[TEXT_MAX];

static const char *explain(struct nfs_context *nfs, const char *what)
{
    const char *why = nfs_get_error(nfs);
    snprintf(trouble, sizeof(trouble), "%s: %s", what, why != NULL && why[0] != '\0' ? why : "no answer");
    return trouble;
}

static const char *read_directory(struct nfs_context *nfs, const share_t *share, json_t *files)
{
    char path[4096];
    struct nfsdir *directory = NULL;
    struct nfsdirent *entry;
    snprintf(path, sizeof(path), "/%s", share->path);
    if (nfs_opendir(nfs, path, &directory) != 0)
        return explain(nfs, "The directory cannot be read");
    while ((entry = nfs_readdir(nfs, directory)) != NULL) {
        bool is_file = entry->mode == 0 || S_ISREG(entry->mode); /* 0: the server does not tell */
        if (is_file && !list_add(share, files, entry->name))
            break;
    }
    nfs_closedir(nfs, directory);
    return NULL;
}

static const char *list_version(const share_t *share, int version, json_t *files, bool *is_mounted)
{
    struct nfs_context *nfs = nfs_init_context();
    const char *why = "Out of memory";
    *is_mounted = false;
    if (nfs == NULL)
        return why;
    nfs_set_timeout(nfs, share->timeout_ms);
    nfs_set_autoreconnect(nfs, 0);
    nfs_set_version(nfs, version);
    *is_mounted = nfs_mount(nfs, share->address, share->share) == 0;
    why = *is_mounted ? read_directory(nfs, share, files) : explain(nfs, "The export cannot be mounted");
    nfs_destroy_context(nfs);
    return why;
}

/* Version 4 needs one port; 3 also the port mapper and the mount service. */
const char *list_nfs(const share_t *share, json_t *files)
{
    static char both[2 * TEXT_MAX];
    bool is_mounted = false;
    const char *why = list_version(share, 4, files, &is_mounted);
    if (is_mounted)
        return why;
    size_t len = (size_t)snprintf(both, sizeof(both), "NFS 4: %s; NFS 3: ", why);
    why = list_version(share, 3, files, &is_mounted);
    if (is_mounted || why == NULL)
        return why;
    snprintf(both + len, sizeof(both) - len, "%s", why);
    return both;
}
