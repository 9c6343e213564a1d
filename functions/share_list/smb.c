#include "functions/share_list/list.h"

#include <errno.h>
#include <libsmbclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 300
#define SMB_PORT 445

static const share_t *wanted;

static void copy(char *into, int size, const char *text, size_t len)
{
    if (size > 0)
        snprintf(into, (size_t)size, "%.*s", (int)len, text);
}

/* DOMAIN\user, or a user alone. */
static void give_login(SMBCCTX *context, const char *server, const char *share, char *group, int group_size,
                       char *user, int user_size, char *password, int password_size)
{
    const char *slash = strchr(wanted->username, '\\');
    const char *name = slash != NULL ? slash + 1 : wanted->username;
    (void)context;
    (void)server;
    (void)share;
    if (slash != NULL)
        copy(group, group_size, wanted->username, (size_t)(slash - wanted->username));
    copy(user, user_size, name, strlen(name));
    copy(password, password_size, wanted->password, strlen(wanted->password));
}

static SMBCCTX *set_up(const share_t *share)
{
    SMBCCTX *context = smbc_new_context();
    if (context == NULL)
        return NULL;
    smbc_setDebug(context, 0);
    smbc_setTimeout(context, share->timeout_ms);
    smbc_setPort(context, SMB_PORT);
    smbc_setFunctionAuthDataWithContext(context, give_login);
    smbc_setOptionUseKerberos(context, 0);
    smbc_setOptionNoAutoAnonymousLogin(context, share->username[0] != '\0');
    smbc_setOptionProtocols(context, "SMB2", NULL);
    return smbc_init_context(context);
}

/* smb://address/share/path, all but what is plain percent-encoded. */
static void build_url(const share_t *share, char *url, size_t size)
{
    static const char PLAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/";
    size_t at = (size_t)snprintf(url, size, "smb://%s/", share->address);
    const char *parts[] = {share->share, share->path[0] != '\0' ? "/" : "", share->path};
    for (size_t i = 0; i < 3; i++) {
        for (const char *c = parts[i]; *c != '\0' && at + 4 < size; c++)
            at += (size_t)snprintf(url + at, size - at, strchr(PLAIN, *c) != NULL ? "%c" : "%%%02X",
                                   (unsigned char)*c);
    }
}

static const char *explain(int error)
{
    static char text[TEXT_MAX];
    switch (error) {
    case EACCES:
    case EPERM:
        return "The server refused the user or the access to the share";
    case ENOENT:
    case ENODEV:
        return "There is no such share or directory";
    default:
        snprintf(text, sizeof(text), "The share cannot be read: %s", strerror(error));
        return text;
    }
}

const char *list_smb(const share_t *share, json_t *files)
{
    char url[8192];
    struct smbc_dirent *entry;
    wanted = share;
    setenv("HOME", "/nonexistent", 1); /* whose configuration is not read */
    SMBCCTX *context = set_up(share);
    if (context == NULL)
        return "The SMB library cannot be set up";
    build_url(share, url, sizeof(url));
    SMBCFILE *directory = smbc_getFunctionOpendir(context)(context, url);
    if (directory == NULL)
        return explain(errno);
    while ((entry = smbc_getFunctionReaddir(context)(context, directory)) != NULL) {
        if (entry->smbc_type == SMBC_FILE && !list_add(share, files, entry->name))
            break;
    }
    return NULL;
}
