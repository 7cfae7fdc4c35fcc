#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLES 16 /* ours, beside those of the command line */
#define VARIABLE_SIZE (USER_FIELD + 16)
#define OOM_SCORE "500" /* the kernel should take the student's programs long before the holder */

static bool executable(const char *path)
{
    struct stat file;
    return path && path[0] == '/' && stat(path, &file) == 0 && S_ISREG(file.st_mode) && (file.st_mode & 0111);
}

const char *shell_choose(const struct launch *launch, const struct user *user, char *why, size_t why_size)
{
    const char *wanted = launch->shell ? launch->shell : user->shell;
    if (executable(wanted))
        return wanted;
    if (!launch->shell && executable("/bin/sh"))
        return "/bin/sh";
    snprintf(why, why_size, "there is no shell: %.100s can't be executed", launch->shell ? wanted : "/bin/sh");
    return NULL;
}

static _Noreturn void give_up(int report, const char *what)
{
    char text[200];
    int n = snprintf(text, sizeof text, "%.100s: %s", what, strerror(errno));
    if (n < 0 || write(report, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1) < 0)
        _exit(126);
    _exit(127);
}

/* The holder ignores and blocks signals; a program inherits both. */
static void default_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int signal = 1; signal < NSIG; signal++)
        sigaction(signal, &standard, NULL); /* fails for SIGKILL and SIGSTOP */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void take_terminal(int terminal, int report)
{
    if (setsid() < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0)
        give_up(report, "could not take the terminal");
    for (int fd = 0; fd < 3; fd++)
        if (dup2(terminal, fd) < 0)
            give_up(report, "could not open the terminal");
}

static void raise_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* What can't be raised is left: it only decides who dies first. */
    ssize_t ignored = write(fd, OOM_SCORE, strlen(OOM_SCORE));
    (void)ignored;
    close(fd);
}

static void become_user(const struct user *user, int report)
{
    if (geteuid() != 0)
        return;
    if (setgroups(user->group_count, user->groups) < 0 || setgid(user->gid) < 0 || setuid(user->uid) < 0)
        give_up(report, "could not become the user");
}

static void enter_directory(const struct launch *launch, const struct user *user)
{
    if ((launch->directory && chdir(launch->directory) == 0) || chdir(user->home) == 0)
        return;
    int ignored = chdir("/");
    (void)ignored;
}

static bool same_name(const char *left, const char *right)
{
    size_t n = strcspn(left, "=");
    return strncmp(left, right, n) == 0 && right[n] == '=';
}

/* The last one of a name holds. */
static void add_variable(char *variables[], const char *variable)
{
    size_t i = 0;
    while (variables[i] && !same_name(variables[i], variable))
        i++;
    memcpy(&variables[i], &variable, sizeof variable); /* execve() takes them without const */
}

_Noreturn void shell_become(const struct launch *launch, const struct user *user, const char *shell, int terminal, int report)
{
    static char home[VARIABLE_SIZE], name[VARIABLE_SIZE], logname[VARIABLE_SIZE], path_of_shell[VARIABLE_SIZE];
    static char login_name[VARIABLE_SIZE], *variables[VARIABLES + LAUNCH_VARIABLES + 1];
    snprintf(home, sizeof home, "HOME=%s", user->home);
    snprintf(name, sizeof name, "USER=%s", user->name);
    snprintf(logname, sizeof logname, "LOGNAME=%s", user->name);
    snprintf(path_of_shell, sizeof path_of_shell, "SHELL=%s", shell);
    const char *ours[] = {
        "TERM=xterm-256color", "COLORTERM=truecolor", "LANG=C.UTF-8", home, name, logname, path_of_shell,
        user->uid == 0 ? "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                       : "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
    };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        add_variable(variables, ours[i]);
    for (size_t i = 0; i < launch->variables; i++)
        add_variable(variables, launch->variable[i]);
    /* The dash makes it a login shell. */
    snprintf(login_name, sizeof login_name, "-%s", strrchr(shell, '/') + 1);
    char *arguments[] = {login_name, NULL};

    default_signals();
    take_terminal(terminal, report);
    raise_oom_score();
    become_user(user, report);
    umask(022);
    enter_directory(launch, user);
    /* All else of the holder closes by itself (O_CLOEXEC). */
    execve(shell, arguments, variables);
    give_up(report, shell);
}
