#include "drivers/ldap/session.h"

#include <openldap.h>
#include <pthread.h>
#include <sys/time.h>
#include <time.h>

#define PDU_MAX (1u << 20)

static err_t *late(pool_t *pool)
{
    return err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout", "The directory server did not answer in time");
}

/* --- libldap's way to our bytes */

static int io_setup(Sockbuf_IO_Desc *desc, void *arg)
{
    desc->sbiod_pvt = arg;
    return 0;
}

static int io_nothing(Sockbuf_IO_Desc *desc)
{
    (void)desc;
    return 0;
}

/* TLS may hold a whole message that the socket no longer announces. */
static int io_ctrl(Sockbuf_IO_Desc *desc, int opt, void *arg)
{
    const ldap_stream_t *stream = desc->sbiod_pvt;
    (void)arg;
    return opt == LBER_SB_OPT_DATA_READY && stream->ssl != NULL && SSL_pending(stream->ssl) > 0;
}

static ber_slen_t io_read(Sockbuf_IO_Desc *desc, void *into, ber_len_t len)
{
    return ldap_stream_read(desc->sbiod_pvt, into, len);
}

static ber_slen_t io_write(Sockbuf_IO_Desc *desc, void *from, ber_len_t len)
{
    return ldap_stream_write(desc->sbiod_pvt, from, len);
}

static Sockbuf_IO STREAM_IO = {io_setup, io_nothing, io_ctrl, io_read, io_write, io_nothing};

/* --- setting up the library
 * At its first use it asks the resolver for this host's own name, which may take as long as name servers are
 * silent: so that happens on a thread of its own, once, and nobody waits for it beyond his deadline. */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum { SETUP_NONE, SETUP_RUNS, SETUP_DONE } state;
} setup = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *set_up(void *arg)
{
    LDAP *ld = NULL;
    (void)arg;
    if (ldap_create(&ld) == LDAP_SUCCESS)
        ldap_unbind_ext(ld, NULL, NULL);
    pthread_mutex_lock(&setup.mutex);
    setup.state = SETUP_DONE;
    pthread_cond_broadcast(&setup.changed);
    pthread_mutex_unlock(&setup.mutex);
    return NULL;
}

static void start_set_up(void)
{
    pthread_t thread;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&setup.changed, &clock);
    pthread_condattr_destroy(&clock);
    if (pthread_create(&thread, NULL, set_up, NULL) == 0 && pthread_detach(thread) == 0)
        setup.state = SETUP_RUNS;
}

/* False when it was not ready in time. */
static bool is_set_up(const ldap_stream_t *stream)
{
    struct timespec until = {stream->deadline_us / 1000000, stream->deadline_us % 1000000 * 1000};
    int error = 0;
    pthread_mutex_lock(&setup.mutex);
    if (setup.state == SETUP_NONE)
        start_set_up();
    while (setup.state == SETUP_RUNS && error == 0)
        error = pthread_cond_timedwait(&setup.changed, &setup.mutex, &until);
    bool is_ready = setup.state == SETUP_DONE;
    pthread_mutex_unlock(&setup.mutex);
    return is_ready;
}

static err_t *attach(ldap_session_t *session)
{
    int version = LDAP_VERSION3;
    ber_len_t pdu_max = PDU_MAX;
    Sockbuf *sockbuf = NULL;
    if (!is_set_up(&session->stream))
        return late(session->pool);
    if (ldap_init_fd(session->stream.fd, LDAP_PROTO_EXT, NULL, &session->ld) != LDAP_SUCCESS ||
        ldap_get_option(session->ld, LDAP_OPT_SOCKBUF, &sockbuf) != LDAP_SUCCESS ||
        ber_sockbuf_add_io(sockbuf, &STREAM_IO, LBER_SBIOD_LEVEL_PROVIDER, &session->stream) != 0)
        return err_bug(session->pool, "libldap took no connection");
    ber_sockbuf_ctrl(sockbuf, LBER_SB_OPT_SET_MAX_INCOMING, &pdu_max);
    ldap_set_option(session->ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(session->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    return NULL;
}

/* --- answers */

static err_t *refused(pool_t *pool, const char *why)
{
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused", "The directory server refused: %s", why);
}

err_t *ldap_session_explain(pool_t *pool, int code)
{
    switch (code) {
    case LDAP_SUCCESS:
        return NULL;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_INAPPROPRIATE_AUTH:
        return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "credentials", "Invalid credentials");
    case LDAP_PROTOCOL_ERROR: /* what servers say to an operation they do not know */
    case LDAP_UNAVAILABLE:
    case LDAP_UNWILLING_TO_PERFORM:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "declined", "The directory server declined: %s",
                        ldap_err2string(code));
    case LDAP_REFERRAL:
        return err_make(
            pool, 502, ERR_FAMILY_UPSTREAM, "referral",
            "The directory refers to another server for this user, and referrals are not followed");
    default:
        return refused(pool, ldap_err2string(code));
    }
}

err_t *ldap_session_await(ldap_session_t *session, int sent, int msgid, LDAPMessage **out)
{
    int64_t left = ldap_stream_left_us(&session->stream);
    struct timeval wait = {left / 1000000, left % 1000000};
    *out = NULL;
    int type = sent == LDAP_SUCCESS ? ldap_result(session->ld, msgid, LDAP_MSG_ALL, &wait, out) : -1;
    if (type > 0)
        return NULL;
    if (type == 0 || session->stream.is_late)
        return late(session->pool);
    if (session->stream.is_too_large)
        return err_make(session->pool, 502, ERR_FAMILY_UPSTREAM, "refused",
                        "The directory's answer is too large");
    bool is_ours = sent != LDAP_SUCCESS && sent != LDAP_SERVER_DOWN; /* a filter that is none */
    return is_ours ? refused(session->pool, ldap_err2string(sent))
                   : err_make(session->pool, 502, ERR_FAMILY_UPSTREAM, "refused",
                              "The directory server broke off the conversation");
}

/* The result of an operation that has nothing but one. */
static err_t *await_result(ldap_session_t *session, int sent, int msgid)
{
    LDAPMessage *message = NULL;
    int code = LDAP_OTHER;
    char *diagnosis = NULL;
    err_t *err = ldap_session_await(session, sent, msgid, &message);
    if (err != NULL)
        return err;
    if (ldap_parse_result(session->ld, message, &code, NULL, &diagnosis, NULL, NULL, 1) != LDAP_SUCCESS)
        code = LDAP_DECODING_ERROR;
    err = ldap_session_explain(session->pool, code);
    /* Active Directory says there why (AcceptSecurityContext error, data 775). */
    str_t said = str_from_c(diagnosis);
    size_t at = err != NULL ? str_find(said, STR(", data "), 0) : SIZE_MAX;
    if (at != SIZE_MAX) {
        str_t rest = str_slice(said, at + 7, said.len);
        err->details = pool_str(session->pool, str_slice(str_split(&rest, ','), 0, 8));
    }
    ldap_memfree(diagnosis);
    return err;
}

static err_t *start_tls(ldap_session_t *session, const ldap_server_t *server)
{
    int msgid = 0;
    int sent = ldap_extended_operation(session->ld, LDAP_EXOP_START_TLS, NULL, NULL, NULL, &msgid);
    err_t *err = await_result(session, sent, msgid);
    if (err == NULL)
        return ldap_stream_start_tls(session->pool, server, &session->stream);
    if (!str_eq(err->code, STR("declined")))
        return err;
    return server->tls == LDAP_TLS_TRY ? NULL
                                       : err_make(session->pool, 502, ERR_FAMILY_UPSTREAM, "tls",
                                                  "The directory server offers no STARTTLS");
}

static err_t *log_in(ldap_session_t *session, const ldap_login_t *login)
{
    int msgid = 0;
    struct berval password = {login->password.len, (char *)login->password.base};
    if (login->name.len == 0)
        return NULL; /* anonymous: no bind is needed */
    int sent = ldap_sasl_bind(session->ld, pool_cstr(session->pool, login->name), LDAP_SASL_SIMPLE, &password,
                              NULL, NULL, &msgid);
    return await_result(session, sent, msgid);
}

err_t *ldap_session_open(ldap_session_t *session, pool_t *pool, const ldap_server_t *server,
                         const ldap_login_t *login)
{
    *session = (ldap_session_t){.pool = pool, .stream = {.fd = -1}};
    err_t *err = ldap_stream_open(pool, server, &session->stream);
    if (err == NULL && server->tls == LDAP_TLS_IMPLICIT)
        err = ldap_stream_start_tls(pool, server, &session->stream);
    if (err == NULL)
        err = attach(session);
    if (err == NULL && (server->tls == LDAP_TLS_STARTTLS || server->tls == LDAP_TLS_TRY))
        err = start_tls(session, server);
    return err != NULL ? err : log_in(session, login);
}

void ldap_session_close(ldap_session_t *session)
{
    if (session->ld != NULL)
        ldap_unbind_ext(session->ld, NULL, NULL);
    session->ld = NULL;
    ldap_stream_close(&session->stream);
}
