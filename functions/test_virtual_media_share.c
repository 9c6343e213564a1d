#include "functions/peer.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/crypt.h"
#include "base/subprocess.h"

#include <unistd.h>

#define PROBE_MS 5000
#define LISTING_MS 8000
#define LISTING_MAX (1u << 20)
#define FILES_MAX 1000

static const char SETTINGS_SQL[] =
    "select s.host, s.share_type, coalesce(s.export_path, ''), coalesce(s.iso_path, ''), s.use_auth,"
    "       coalesce(s.username, ''),"
    "       case when starts_with(s.password, 'enc:v1:') then public.decrypt_password(s.password, "
    "k.encryption_key)"
    "            else coalesce(public.decrypt_password(s.password, k.encryption_key), s.password) end"
    "  from public.virtual_media_settings s"
    "  left join (select encryption_key from public.activity_settings limit 1) k on true"
    " order by s.created_at limit 1";

typedef struct {
    str_t host, type, export_path, iso_path, username, password;
    int port;
    str_t base_url;
} share_t;

typedef struct {
    bool is_open;
    int64_t elapsed_us;
    str_t error, listing_error; /* null strings: none */
    json_t *files;
} probe_t;

static void free_json(void *arg)
{
    json_decref(arg);
}

static err_t *read_settings(api_task_t *task, share_t *share)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(SETTINGS_SQL), NULL, 0, &rows);
    db_session_rollback(session);
    if (err != NULL)
        return err;
    if (rows.row_count == 0)
        return err_make(task->pool, 400, ERR_FAMILY_REQUEST, "", "Virtual media settings not configured");
    *share = (share_t){.host = db_value(&rows, 0, 0),
                       .type = db_value(&rows, 0, 1),
                       .export_path = db_value(&rows, 0, 2),
                       .iso_path = db_value(&rows, 0, 3)};
    if (str_eq(db_value(&rows, 0, 4), STR("t"))) {
        share->username = db_value(&rows, 0, 5);
        share->password = db_value(&rows, 0, 6);
    }
    return NULL;
}

static str_t trim_slashes(str_t path)
{
    path = str_trim(path);
    while (path.len > 0 && path.base[0] == '/')
        path = str_slice(path, 1, path.len);
    while (path.len > 0 && path.base[path.len - 1] == '/')
        path = str_slice(path, 0, path.len - 1);
    return path;
}

static bool is_http(const share_t *share)
{
    return str_eq(share->type, STR("http")) || str_eq(share->type, STR("https"));
}

static err_t *complete(api_task_t *task, share_t *share)
{
    str_t export_path = trim_slashes(share->export_path), iso_path = trim_slashes(share->iso_path);
    bool is_bare_v6 = str_find_char(share->host, ':', 0) != SIZE_MAX && share->host.base[0] != '[';
    if (!peer_is_host(share->host))
        return err_make(task->pool, 400, ERR_FAMILY_REQUEST, "", "The host must be a name or an address");
    if (str_eq(share->type, STR("nfs")))
        share->port = 2049;
    else if (str_eq(share->type, STR("cifs")))
        share->port = 445;
    else if (is_http(share))
        share->port = str_eq(share->type, STR("https")) ? 443 : 80;
    else
        return err_make(task->pool, 400, ERR_FAMILY_REQUEST, "",
                        "share_type must be nfs, cifs, http or https");
    if (is_bare_v6)
        share->host = pool_concat(task->pool, 3, STR("["), share->host, STR("]"));
    share->base_url = pool_printf(task->pool, "%.*s://%.*s%s%.*s%s%.*s", STR_ARG(share->type),
                                  STR_ARG(share->host), export_path.len > 0 ? "/" : "", STR_ARG(export_path),
                                  iso_path.len > 0 ? "/" : "", STR_ARG(iso_path));
    return NULL;
}

static bool has_image_suffix(str_t name)
{
    return name.len > 4 && (str_eq_nocase(str_slice(name, name.len - 4, name.len), STR(".iso")) ||
                            str_eq_nocase(str_slice(name, name.len - 4, name.len), STR(".img")));
}

static bool is_known(const json_t *files, str_t name)
{
    size_t i;
    json_t *file;
    json_array_foreach(files, i, file)
    {
        if (str_eq(str_make(json_string_value(file), json_string_length(file)), name))
            return true;
    }
    return false;
}

/* The href="..." of a directory page that lead to images. */
static void collect_images(pool_t *pool, str_t page, json_t *files)
{
    for (size_t at = 0; at + 6 < page.len && json_array_size(files) < FILES_MAX; at++) {
        if (!str_eq_nocase(str_make(page.base + at, 6), STR("href=\"")))
            continue;
        size_t end = str_find_char(page, '"', at + 6);
        if (end == SIZE_MAX)
            return;
        str_t name = api_url_decode(pool, str_slice(page, at + 6, end), false);
        if (has_image_suffix(name) && str_is_utf8(name) && !is_known(files, name))
            json_array_append_new(files, json_stringn(name.base, name.len));
        at = end;
    }
}

/* The address as a URL; a percent sign stays, as people paste addresses. */
static str_t encode_url(pool_t *pool, str_t address)
{
    buf_t out;
    buf_init(&out, pool, address.len + 32);
    for (size_t i = 0; i < address.len; i++) {
        unsigned char c = (unsigned char)address.base[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}?#", c) != NULL)
            buf_printf(&out, "%%%02X", c);
        else
            buf_append_char(&out, (char)c);
    }
    buf_append_char(&out, '/');
    return buf_str(&out);
}

static void list_web(api_task_t *task, const share_t *share, probe_t *probe)
{
    fetch_response_t response;
    fetch_t *fetch = fetch_create();
    bool has_login = share->username.len > 0 && share->password.len > 0;
    fetch_request_t request = {.url = encode_url(task->pool, share->base_url),
                               .username = has_login ? share->username : STR_NULL,
                               .password = has_login ? share->password : STR_NULL,
                               .timeout_ms = fn_time_left_ms(task, LISTING_MS),
                               .response_max = LISTING_MAX,
                               .ca_file = config_str(task->gateway->config, "BASALT_CA_FILE"),
                               .addr_policy = peer_policy(task->gateway)};
    err_t *err = fetch_perform(fetch, task->pool, &request, &response);
    fetch_destroy(fetch);
    if (err != NULL)
        probe->listing_error = err->message;
    else if (response.status < 200 || response.status > 299)
        probe->listing_error = pool_printf(task->pool, "HTTP %d when fetching directory", response.status);
    else
        collect_images(task->pool, response.body, probe->files);
}

/* What basalt-share-list is told. The password goes through its input, which nobody else sees. */
static str_t helper_request(api_task_t *task, const share_t *share, str_t address)
{
    buf_t out;
    emit_t emit;
    bool is_nfs = str_eq(share->type, STR("nfs"));
    str_t export_path = trim_slashes(share->export_path);
    buf_init(&out, task->pool, 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "type", share->type);
    emit_kv_string(&emit, "address", address);
    emit_kv_string(&emit, "share", is_nfs ? pool_concat(task->pool, 2, STR("/"), export_path) : export_path);
    emit_kv_string(&emit, "path", trim_slashes(share->iso_path));
    emit_kv_string(&emit, "username", share->username);
    emit_kv_string(&emit, "password", share->password);
    emit_kv_int(&emit, "timeout_ms", fn_time_left_ms(task, LISTING_MS) / 2); /* of one answer */
    emit_kv_int(&emit, "files_max", FILES_MAX);
    emit_object_end(&emit);
    return buf_str(&out);
}

/* NFS and SMB are read by a program of its own, which connects to this address and to no other. */
static void list_network(api_task_t *task, const share_t *share, str_t address, probe_t *probe)
{
    str_t output;
    json_t *answer = NULL;
    subprocess_t helper = {.program = "basalt-share-list",
                           .input = helper_request(task, share, address),
                           .timeout_ms = fn_time_left_ms(task, LISTING_MS),
                           .output_max = LISTING_MAX};
    err_t *err = subprocess_run(task->pool, &helper, &output);
    crypt_wipe((char *)helper.input.base, helper.input.len);
    if (err == NULL)
        err = read_json(task->pool, output, &(read_json_limits_t){0}, &answer);
    if (err != NULL) {
        probe->listing_error = err->status == 504 ? STR("The share did not answer in time") : err->message;
        return;
    }
    json_array_extend(probe->files, read_json_array(answer, "files"));
    probe->listing_error = read_json_str(answer, "error");
}

static void probe_share(api_task_t *task, const share_t *share, bool lists, probe_t *probe)
{
    target_socket_t connected;
    int64_t from = clock_mono_us();
    err_t *err = target_connect(task->pool, share->host, (uint16_t)share->port, peer_policy(task->gateway),
                                fn_time_left_ms(task, PROBE_MS), &connected);
    probe->is_open = err == NULL;
    probe->elapsed_us = clock_mono_us() - from;
    if (err != NULL) {
        probe->error = str_eq(err->code, STR("timeout")) ? STR("Connection timeout (5s)") : err->message;
        return;
    }
    close(connected.fd);
    if (lists && is_http(share))
        list_web(task, share, probe);
    else if (lists)
        list_network(task, share, connected.address, probe);
}

static void reply(api_task_t *task, const share_t *share, const probe_t *probe)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", probe->is_open);
    emit_kv_int(&emit, "port", share->port);
    if (probe->is_open)
        emit_kv_int(&emit, "latency_ms", probe->elapsed_us / 1000);
    else
        emit_kv_string(&emit, "error", probe->error);
    emit_kv_string(&emit, "base_url", share->base_url);
    emit_kv_raw(&emit, "files", read_json_dump(task->pool, probe->files));
    if (probe->listing_error.len > 0)
        emit_kv_string(&emit, "listing_error", probe->listing_error);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

void fn_test_virtual_media_share(api_task_t *task)
{
    json_t *body = NULL;
    err_t *err = NULL;
    probe_t probe = {0};
    if (!fn_body(task, &body, fn_fail))
        return;
    str_t type = read_json_str(body, "share_type");
    share_t share = {.host = str_trim(read_json_str(body, "host")),
                     .type = type.len > 0 ? type : STR("nfs"),
                     .export_path = read_json_str(body, "export_path"),
                     .iso_path = read_json_str(body, "iso_path"),
                     .username = read_json_str(body, "username"),
                     .password = read_json_str(body, "password")};
    if (share.host.len == 0)
        err = read_settings(task, &share);
    if (err == NULL)
        err = complete(task, &share);
    if (err != NULL) {
        fn_fail(task, err->status == 400 ? 400 : 500, fn_error_text(task, err));
        return;
    }
    probe.files = json_array();
    pool_on_dispose(task->pool, free_json, probe.files);
    probe_share(task, &share, read_json_bool(body, "list_files", true), &probe);
    reply(task, &share, &probe);
}
