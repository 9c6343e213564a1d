/* Inside of basalt-share-list: the directory of a network share, for the gateway. In a program of its own
 * because the libraries are large, keep state of their own, and read what foreign servers send. */
#ifndef SHARE_LIST_H
#define SHARE_LIST_H

#include <jansson.h>
#include <stdbool.h>

typedef struct {
    const char *address; /* numeric: the only one that is connected to */
    const char *share;   /* NFS: the export, "/srv/iso"; SMB: the name of the share */
    const char *path;    /* inside of it, without outer slashes; may be empty */
    const char *username, *password;
    int timeout_ms;
    size_t files_max;
} share_t;

/* Adds names of directory entries to `files`; NULL, or why that is not possible (static or malloc'd text). */
const char *list_nfs(const share_t *share, json_t *files);
const char *list_smb(const share_t *share, json_t *files);

/* False once `files` is full. */
bool list_add(const share_t *share, json_t *files, const char *name);

/* From now on sockets connect to that address alone, whatever a library or a server (referrals) wants. */
bool list_only_to(const char *address);

#endif
