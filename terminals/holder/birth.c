#include "birth.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "holder.h"

#define GRACE_MS 30000
#define LINGER_MS 60000
#define KEPT_DIRECTORY 3
#define KEPT_REPORT 4

static _Noreturn void give_up(int report, const char *text)
{
    ssize_t ignored = write(report, text, strlen(text));
    (void)ignored; /* nobody is left to be told */
    _exit(1);
}

static int64_t milliseconds(const char *variable, int64_t standard)
{
    const char *text = getenv(variable);
    char *end = NULL;
    long value = text ? strtol(text, &end, 10) : -1;
    return value >= 0 && *end == 0 ? value : standard;
}

/* LXD waits until nobody has its pipes any more, and a lock is held for as long as any copy of its descriptor. */
static void keep_only(struct state *state, int *report)
{
    /* Out of the way first: either may have the other's number. */
    int directory = fcntl(state->directory, F_DUPFD_CLOEXEC, KEPT_REPORT + 1);
    int kept_report = fcntl(*report, F_DUPFD_CLOEXEC, KEPT_REPORT + 1);
    int null = open("/dev/null", O_RDWR);
    if (directory < 0 || kept_report < 0 || null < 0)
        give_up(*report, "could not leave the caller's descriptors");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    dup3(directory, KEPT_DIRECTORY, O_CLOEXEC);
    dup3(kept_report, KEPT_REPORT, O_CLOEXEC);
    closefrom(KEPT_REPORT + 1);
    state->directory = KEPT_DIRECTORY;
    *report = KEPT_REPORT;
}

static bool watch_signals(struct holder *holder)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take the exit status with it */
    if (sigprocmask(SIG_SETMASK, &child, NULL) < 0)
        return false;
    holder->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    return holder->signals >= 0;
}

static bool prepare(struct holder *holder, const struct launch *launch, char *why, size_t why_size)
{
    holder->now = clock_ms();
    holder->grace = milliseconds("EDUCENTER_HOLDER_GRACE_MS", GRACE_MS);
    holder->linger = milliseconds("EDUCENTER_HOLDER_LINGER_MS", LINGER_MS);
    holder->grace_end = holder->now + holder->grace;
    if (getrandom(holder->birth, BIRTH_SIZE, 0) != BIRTH_SIZE || !ring_open(&holder->ring) || !watch_signals(holder)) {
        snprintf(why, why_size, "could not set up the holder: %s", strerror(errno));
        return false;
    }
    if (!terminal_open(holder, launch, why, why_size))
        return false;
    holder->listener = state_listen(&holder->state);
    if (holder->listener < 0)
        snprintf(why, why_size, "could not listen: %s", strerror(errno));
    return holder->listener >= 0;
}

static _Noreturn void live(const struct state *state, const struct launch *launch, int report)
{
    static struct holder holder; /* zeros */
    char why[ERROR_TEXT_MAX];
    holder.state = *state;
    umask(077);
    keep_only(&holder.state, &report);
    /* A session of its own, without a terminal: nobody's hang-up reaches it. */
    if (setsid() < 0 || chdir("/") < 0)
        give_up(report, "could not leave the caller's session");
    if (!prepare(&holder, launch, why, sizeof why)) {
        pty_close(&holder.pty);
        give_up(report, why);
    }
    if (write(report, "", 1) != 1)
        _exit(1);
    close(report);
    serve(&holder);
    exit(0); /* not _exit(): LeakSanitizer looks now */
}

static bool await_ready(int report, char *why, size_t why_size)
{
    size_t n = 0;
    ssize_t got;
    while (n + 1 < why_size && ((got = read(report, why + n, why_size - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
        n += got > 0 ? (size_t)got : 0;
    why[n] = 0;
    if (n == 0)
        snprintf(why, why_size, "the holder died at its start");
    return n == 1 && why[0] == 0;
}

bool birth(const struct state *state, const struct launch *launch, char *why, size_t why_size)
{
    int report[2];
    pid_t child = pipe2(report, O_CLOEXEC) == 0 ? fork() : -1;
    if (child < 0) {
        snprintf(why, why_size, "could not fork: %s", strerror(errno));
        return false;
    }
    if (child == 0) {
        /* Twice, so that the holder is nobody's child and its end is reaped by init. */
        pid_t grandchild = fork();
        if (grandchild < 0)
            give_up(report[1], "could not fork the holder");
        if (grandchild == 0)
            live(state, launch, report[1]);
        _exit(0);
    }
    close(report[1]);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    bool ready = await_ready(report[0], why, why_size);
    close(report[0]);
    return ready;
}
