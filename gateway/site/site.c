#include "site/site.h"

#include "api/respond.h"
#include "api/route.h"
#include "api/task.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/map.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (32 * 1024 * 1024)
#define TOTAL_MAX_BYTES (256 * 1024 * 1024)
#define DEPTH_MAX 16

typedef struct {
    str_t bytes, type, etag;
    bool is_hashed; /* build tools put a content hash into names below /assets: cached for ever */
} site_file_t;

typedef struct {
    pool_t *pool;
    map_t *files; /* "/assets/x.js" */
    size_t total;
} site_t;

static const struct {
    const char *suffix, *type;
} TYPES[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff", "font/woff"},
    {".woff2", "font/woff2"},
    {".ttf", "font/ttf"},
    {".txt", "text/plain; charset=utf-8"},
    {".wasm", "application/wasm"},
    {".webmanifest", "application/manifest+json"},
    {".xml", "application/xml"},
};

static str_t type_of(str_t path)
{
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        if (str_ends_with(path, str_from_c(TYPES[i].suffix)))
            return str_from_c(TYPES[i].type);
    }
    return STR("application/octet-stream");
}

static bool read_whole(int fd, char *to, size_t size)
{
    size_t have = 0;
    while (have < size) {
        ssize_t got = read(fd, to + have, size - have);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static void load_file(site_t *site, int directory, const char *name, str_t url)
{
    struct stat info;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    bool fits = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= FILE_MAX_BYTES &&
                site->total + (size_t)info.st_size <= TOTAL_MAX_BYTES;
    if (fits) {
        site_file_t *file = POOL_NEW(site->pool, site_file_t);
        size_t size = (size_t)info.st_size;
        char *bytes = pool_alloc(site->pool, size + 1);
        if (read_whole(fd, bytes, size)) {
            file->bytes = str_make(bytes, size);
            file->type = type_of(url);
            file->etag = pool_printf(site->pool, "\"%.32s\"", crypt_sha256_hex(site->pool, file->bytes).base);
            file->is_hashed = str_starts_with(url, STR("/assets/"));
            site->total += size;
            map_put(site->files, url, file);
        }
    } else {
        observe(LOG_WARN, "site_file_skipped", F_STR("path", url));
    }
    close(fd);
}

/* Links are not followed, so nothing outside the directory gets in. */
static void load_directory(site_t *site, int directory, str_t url, int depth)
{
    DIR *dir = fdopendir(directory);
    struct dirent *entry;
    if (dir == NULL || depth > DEPTH_MAX) {
        close(directory);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        str_t child = pool_concat(site->pool, 3, url, STR("/"), str_from_c(entry->d_name));
        int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            load_directory(site, below, child, depth + 1);
        else
            load_file(site, directory, entry->d_name, child);
    }
    closedir(dir);
}

static const site_file_t *find_file(const site_t *site, str_t path)
{
    const site_file_t *file = map_get(site->files, path);
    if (file != NULL || memrchr(path.base, '.', path.len) > memrchr(path.base, '/', path.len))
        return file;
    return map_get(site->files, STR("/index.html")); /* a route of the single-page UI */
}

static void handle(void *arg, api_context_t *ctx)
{
    const site_t *site = arg;
    str_t method = http_method(ctx->request),
          path = api_url_decode(ctx->pool, http_path(ctx->request), false);
    if (!str_eq(method, STR("GET")) && !str_eq(method, STR("HEAD"))) {
        api_respond_error(ctx, err_make(ctx->pool, 405, ERR_FAMILY_REQUEST, "", "Method not allowed"));
        return;
    }
    const site_file_t *file = path.len > 0 ? find_file(site, path) : NULL;
    if (file == NULL) {
        api_respond_error(ctx, err_make(ctx->pool, 404, ERR_FAMILY_REQUEST, "", "Not found"));
        return;
    }
    http_set_header(ctx->request, STR("etag"), file->etag);
    http_set_header(ctx->request, STR("x-content-type-options"), STR("nosniff"));
    http_set_header(ctx->request, STR("cache-control"),
                    file->is_hashed ? STR("public, max-age=31536000, immutable") : STR("no-cache"));
    if (str_eq(http_header(ctx->request, "if-none-match"), file->etag))
        http_send(ctx->request, 304, STR_NULL, STR(""));
    else
        http_send(ctx->request, 200, file->type, file->bytes);
}

void site_register(gateway_t *gateway, pool_t *process_pool)
{
    str_t directory = config_str(gateway->config, "BASALT_UI_DIR");
    if (directory.len == 0)
        return;
    site_t *site = POOL_NEW(process_pool, site_t);
    site->pool = process_pool;
    site->files = map_create(process_pool, 256);
    int fd = open(pool_cstr(process_pool, directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        load_directory(site, fd, STR(""), 0);
    observe(fd >= 0 ? LOG_INFO : LOG_ERROR, fd >= 0 ? "site_loaded" : "site_unreadable",
            F_STR("path", directory), F_INT("files", (int64_t)map_count(site->files)),
            F_INT("bytes", (int64_t)site->total));
    api_route_add(gateway,
                  &(api_route_t){.prefix = "", .style = API_STYLE_PLAIN, .handler = handle, .arg = site});
}
