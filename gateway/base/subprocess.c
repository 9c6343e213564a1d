#include "base/subprocess.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_MAX (64u << 10) /* what a pipe takes without a reader */

static err_t *failure(pool_t *pool, uint16_t status, const char *code, const char *program)
{
    return err_make(pool, status, ERR_FAMILY_UPSTREAM, code, "The helper program %s %s", program,
                    strcmp(code, "missing") == 0     ? "is not installed"
                    : strcmp(code, "timeout") == 0   ? "did not end in time"
                    : strcmp(code, "too_large") == 0 ? "said too much"
                                                     : "failed");
}

static bool find_program(const char *name, char path[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len <= 0 || (size_t)len + strlen(name) >= PATH_MAX)
        return false;
    strcpy(path + len, name);
    return access(path, X_OK) == 0;
}

/* A process group of its own, so that what it starts ends with it; signals as a new program expects them. */
static int spawn(const char *path, int input, int output, pid_t *pid)
{
    char *argv[] = {(char *)path, NULL}, *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(pid, path, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* NULL at the end of its output, else the code of what went wrong. */
static const char *read_all(int fd, const subprocess_t *what, int64_t deadline_us, buf_t *out)
{
    char chunk[4096];
    for (;;) {
        int64_t left = deadline_us - clock_mono_us();
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        if (left <= 0)
            return "timeout";
        if (poll(&poller, 1, (int)(left / 1000) + 1) <= 0)
            continue;
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got == 0)
            return NULL;
        if (got < 0 && errno != EINTR)
            return "failed";
        if (got > 0 && (size_t)got > what->output_max - out->len)
            return "too_large";
        if (got > 0)
            buf_append(out, chunk, (size_t)got);
    }
}

/* Whether it ended well. One that is killed is not waited for in vain. */
static bool reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void close_pipe(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

err_t *subprocess_run(pool_t *pool, const subprocess_t *what, str_t *output)
{
    char path[PATH_MAX];
    int input[2], answer[2];
    pid_t pid = 0;
    buf_t out;
    int64_t deadline_us = clock_mono_us() + (int64_t)what->timeout_ms * 1000;
    *output = STR("");
    if (!find_program(what->program, path))
        return failure(pool, 502, "missing", what->program);
    if (what->input.len > INPUT_MAX || pipe2(input, O_CLOEXEC) != 0)
        return failure(pool, 502, "failed", what->program);
    if (pipe2(answer, O_CLOEXEC) != 0) {
        close_pipe(input);
        return failure(pool, 502, "failed", what->program);
    }
    bool is_fed = what->input.len == 0 ||
                  write(input[1], what->input.base, what->input.len) == (ssize_t)what->input.len;
    bool has_started = is_fed && spawn(path, input[0], answer[1], &pid) == 0;
    close_pipe(input);
    close(answer[1]);
    buf_init(&out, pool, 1024);
    const char *trouble = has_started ? read_all(answer[0], what, deadline_us, &out) : "failed";
    close(answer[0]);
    if (has_started && trouble != NULL)
        kill(-pid, SIGKILL);
    if (has_started && !reap(pid) && trouble == NULL)
        trouble = "failed";
    *output = buf_str(&out);
    return trouble == NULL
               ? NULL
               : failure(pool, strcmp(trouble, "timeout") == 0 ? 504 : 502, trouble, what->program);
}
