/* Ed25519 key pairs in OpenSSH's own formats (PROTOCOL.key of OpenSSH; RFC 4253 §6.6, RFC 8709). */
#include "base/crypt.h"
#include "base/rand.h"
#include "functions/fn.h"

#include <openssl/evp.h>

#define KEY_LEN 32
#define PEM_COLUMNS 70
#define KEY_TYPE "ssh-ed25519"

typedef struct {
    uint8_t seed[KEY_LEN], public_key[KEY_LEN];
} key_pair_t;

static void put_u32(buf_t *out, uint32_t value)
{
    const char bytes[] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value};
    buf_append(out, bytes, sizeof(bytes));
}

static void put_string(buf_t *out, str_t s)
{
    put_u32(out, (uint32_t)s.len);
    buf_append_str(out, s);
}

static bool make_key(key_pair_t *pair)
{
    size_t len = KEY_LEN;
    rand_bytes(pair->seed, KEY_LEN);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, pair->seed, KEY_LEN);
    bool ok = key != NULL && EVP_PKEY_get_raw_public_key(key, pair->public_key, &len) == 1 && len == KEY_LEN;
    EVP_PKEY_free(key);
    return ok;
}

static str_t public_blob(pool_t *pool, const key_pair_t *pair)
{
    buf_t out;
    buf_init(&out, pool, 64);
    put_string(&out, STR(KEY_TYPE));
    put_string(&out, str_make((const char *)pair->public_key, KEY_LEN));
    return buf_str(&out);
}

static str_t private_section(pool_t *pool, const key_pair_t *pair, str_t comment)
{
    buf_t out;
    uint32_t check = (uint32_t)rand_uint64();
    buf_init(&out, pool, 256);
    put_u32(&out, check);
    put_u32(&out, check);
    put_string(&out, STR(KEY_TYPE));
    put_string(&out, str_make((const char *)pair->public_key, KEY_LEN));
    put_u32(&out, 2 * KEY_LEN);
    buf_append(&out, pair->seed, KEY_LEN);
    buf_append(&out, pair->public_key, KEY_LEN);
    put_string(&out, comment);
    for (char pad = 1; out.len % 8 != 0; pad++)
        buf_append_char(&out, pad);
    return buf_str(&out);
}

static str_t private_pem(pool_t *pool, const key_pair_t *pair, str_t blob, str_t comment)
{
    buf_t raw, pem;
    buf_init(&raw, pool, 512);
    buf_append(&raw, "openssh-key-v1", sizeof("openssh-key-v1"));
    put_string(&raw, STR("none"));
    put_string(&raw, STR("none"));
    put_string(&raw, STR(""));
    put_u32(&raw, 1);
    put_string(&raw, blob);
    put_string(&raw, private_section(pool, pair, comment));
    str_t text = crypt_base64(pool, buf_str(&raw));
    buf_init(&pem, pool, text.len + 128);
    buf_append_lit(&pem, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t at = 0; at < text.len; at += PEM_COLUMNS) {
        buf_append_str(&pem, str_slice(text, at, at + PEM_COLUMNS));
        buf_append_char(&pem, '\n');
    }
    buf_append_lit(&pem, "-----END OPENSSH PRIVATE KEY-----\n");
    crypt_wipe(raw.base, raw.len);
    return buf_str(&pem);
}

/* SHA256:<base64 without padding>, as ssh-keygen -l prints it. */
static str_t fingerprint(pool_t *pool, str_t blob)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    crypt_sha256(blob, digest);
    str_t text = crypt_base64(pool, str_make((const char *)digest, sizeof(digest)));
    return pool_concat(pool, 2, STR("SHA256:"), str_slice(text, 0, text.len - 1));
}

/* The comment lands in authorized_keys: nothing in it may end the line. */
static str_t clean_comment(pool_t *pool, str_t comment)
{
    buf_t out;
    buf_init(&out, pool, comment.len + 1);
    for (size_t i = 0; i < comment.len; i++) {
        if ((unsigned char)comment.base[i] >= 0x20)
            buf_append_char(&out, comment.base[i]);
    }
    return out.len > 0 ? buf_str(&out) : STR("zfsadmin@zfs-target");
}

static bool is_truthy(const json_t *value)
{
    return json_is_true(value) || json_is_object(value) || json_is_array(value) ||
           (json_is_string(value) && json_string_length(value) > 0) ||
           (json_is_number(value) && json_number_value(value) != 0);
}

/* Who had a key made, and which one; the key itself stays nowhere. */
static err_t *audit(api_task_t *task, str_t comment, str_t print)
{
    return fn_write_service(
        task,
        STR("insert into public.audit_logs (user_id, action, details, ip_address)"
            " values ($1::uuid, 'ssh_keypair_generated',"
            "         jsonb_build_object('comment', $2::text, 'fingerprint', $3::text), $4)"),
        DB_PARAMS(task->identity.sub, comment, print, task->client_addr), NULL);
}

void fn_generate_ssh_keypair(api_task_t *task)
{
    json_t *body = NULL;
    key_pair_t pair;
    buf_t out;
    emit_t emit;
    if (task->body.len > 0 && !fn_body(task, &body, fn_fail))
        return;
    str_t comment = clean_comment(task->pool, read_json_str(body, "comment"));
    if (!make_key(&pair)) {
        fn_fail(task, 500, STR("Key generation failed"));
        return;
    }
    str_t blob = public_blob(task->pool, &pair), print = fingerprint(task->pool, blob);
    err_t *err = audit(task, comment, print);
    if (err != NULL) {
        crypt_wipe(&pair, sizeof(pair));
        fn_fail(task, 500, fn_error_text(task, err));
        return;
    }
    buf_init(&out, task->pool, 1024);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(
        &emit, "publicKey",
        pool_concat(task->pool, 4, STR(KEY_TYPE " "), crypt_base64(task->pool, blob), STR(" "), comment));
    emit_kv_string(&emit, "privateKey", private_pem(task->pool, &pair, blob, comment));
    emit_kv_string(&emit, "keyType", STR("ed25519"));
    emit_kv_string(&emit, "comment", comment);
    if (is_truthy(json_object_get(body, "returnFingerprint")))
        emit_kv_string(&emit, "fingerprint", print);
    emit_object_end(&emit);
    crypt_wipe(&pair, sizeof(pair));
    api_task_add_header(task, STR("Cache-Control"), STR("no-store"));
    fn_reply(task, 200, buf_str(&out));
}
