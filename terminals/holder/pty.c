#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "shell.h"
#include "user.h"

#define EXEC_MS 8000  /* below the 10 s that a server waits for the hello */
#define KILL_PASSES 5 /* a process may fork while its session is being killed */

static bool fail(char *why, size_t size, const char *what)
{
    snprintf(why, size, "%s: %s", what, strerror(errno));
    return false;
}

static bool open_pair(struct pty *pty, const struct user *user)
{
    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (pty->master < 0 || unlockpt(pty->master) < 0)
        return false;
    /* By descriptor: the name in /dev/pts may be shadowed by another mount. */
    pty->slave = ioctl(pty->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->slave < 0)
        pty->slave = open(ptsname(pty->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->slave < 0)
        return false;
    /* So that the student's programs can open their own /dev/tty, /dev/stderr and so on. */
    if (geteuid() == 0 && (fchown(pty->slave, user->uid, (gid_t)-1) < 0 || fchmod(pty->slave, 0620) < 0))
        return false;
    struct termios settings;
    if (tcgetattr(pty->slave, &settings) < 0)
        return false;
    settings.c_iflag |= IUTF8;
    return tcsetattr(pty->slave, TCSANOW, &settings) == 0;
}

/* Waits until the shell has replaced our child; the pipe closes then. The user's other processes may have stopped it on the
 * way, between setuid() and execve(). */
static bool await_exec(int report, char *why, size_t size)
{
    char text[200];
    struct pollfd end = {.fd = report, .events = POLLIN};
    ssize_t n = -1;
    if (poll(&end, 1, EXEC_MS) > 0)
        n = read(report, text, sizeof text - 1);
    if (n == 0)
        return true;
    if (n < 0)
        snprintf(why, size, "the shell did not start within %d s", EXEC_MS / 1000);
    else
        snprintf(why, size, "%.*s", (int)n, text);
    return false;
}

bool pty_start(struct pty *pty, const struct launch *launch, char *why, size_t why_size)
{
    struct user user;
    *pty = (struct pty){.master = -1, .slave = -1};
    if (!user_find(&user, launch->user)) {
        snprintf(why, why_size, "no user %.100s in /etc/passwd", launch->user);
        return false;
    }
    const char *shell = shell_choose(launch, &user, why, why_size);
    if (!shell)
        return false;
    if (!open_pair(pty, &user))
        return fail(why, why_size, "could not open a pty");
    pty_resize(pty, launch->cols, launch->rows);
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return fail(why, why_size, "could not open a pipe");
    pid_t pid = fork();
    if (pid < 0)
        return fail(why, why_size, "could not fork the shell");
    if (pid == 0)
        shell_become(launch, &user, shell, pty->slave, report[1]);
    close(report[1]);
    pty->shell = pty->session = pid;
    pty->uid = user.uid;
    bool running = await_exec(report[0], why, why_size);
    close(report[0]);
    if (!running)
        kill(pid, SIGKILL);
    return running;
}

void pty_resize(const struct pty *pty, uint16_t cols, uint16_t rows)
{
    struct winsize size = {.ws_col = cols, .ws_row = rows};
    if (pty->master >= 0 && cols != 0 && rows != 0)
        ioctl(pty->master, TIOCSWINSZ, &size);
}

void pty_read_size(struct pty *pty)
{
    struct winsize size;
    if (pty->master < 0 || ioctl(pty->master, TIOCGWINSZ, &size) < 0)
        return;
    pty->cols = size.ws_col;
    pty->rows = size.ws_row;
}

pid_t pty_foreground(const struct pty *pty)
{
    pid_t group = pty->master >= 0 ? tcgetpgrp(pty->master) : 0;
    return group > 0 ? group : 0;
}

bool pty_ended(struct pty *pty, int *code)
{
    int status;
    if (pty->shell == 0 || waitpid(pty->shell, &status, WNOHANG) != pty->shell)
        return false;
    *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    pty->shell = 0;
    return true;
}

/* Whether a group's number is still this terminal's: the kernel remembers a foreground group that is gone, and its number may
 * belong to somebody else by now. While such a group lives without its leader, nobody else can have the number. */
static bool is_ours(const struct pty *pty, pid_t group)
{
    pid_t session = getsid(group);
    return session == pty->session || session < 0;
}

void pty_hang_up(const struct pty *pty)
{
    pid_t group = pty_foreground(pty);
    for (int i = 0; i < 2; i++) {
        int signal = i == 0 ? SIGHUP : SIGCONT; /* a stopped process acts on the first only after the second */
        if (pty->shell > 0)
            kill(pty->shell, signal);
        if (group > 1 && group != pty->shell && is_ours(pty, group))
            kill(-group, signal);
    }
}

void pty_kill(const struct pty *pty)
{
    for (int pass = 0, killed = 1; pass < KILL_PASSES && killed; pass++) {
        struct processes all;
        struct process process;
        killed = 0;
        processes_open(&all);
        while (processes_next(&all, &process))
            if (process.session == pty->session && process.pid != getpid() && process.state != 'Z')
                killed |= kill(process.pid, SIGKILL) == 0;
        processes_close(&all);
    }
}

void pty_close(struct pty *pty)
{
    pty_read_size(pty);
    if (pty->slave >= 0)
        close(pty->slave);
    if (pty->master >= 0)
        close(pty->master);
    pty->master = pty->slave = -1;
}
