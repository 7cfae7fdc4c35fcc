/* The pty and the shell on it. Reading and writing the master is the holder's business. */
#ifndef PTY_H
#define PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

#define LAUNCH_VARIABLES 64

/* What the command line says of the shell; NULL: the default. */
struct launch {
    const char *user, *shell, *directory;
    uint16_t cols, rows;
    size_t variables;
    const char *variable[LAUNCH_VARIABLES]; /* NAME=VALUE */
};

struct pty {
    int master; /* non-blocking; -1 once the shell's last output was read */
    int slave;  /* held open: without it a shell that closes its terminal would make the master report a hang-up for ever */
    pid_t shell; /* also its process group and its session; 0 once it was reaped */
    pid_t session;
    uid_t uid;
    uint16_t cols, rows; /* as last known */
};

/* False with a text for people in `why`. */
bool pty_start(struct pty *pty, const struct launch *launch, char *why, size_t why_size);
void pty_resize(const struct pty *pty, uint16_t cols, uint16_t rows);
/* Asks the kernel: programs may set the size too. */
void pty_read_size(struct pty *pty);
/* The process group that has the terminal; 0: none. */
pid_t pty_foreground(const struct pty *pty);
/* Whether the shell has ended; its exit status or 128 + the signal. */
bool pty_ended(struct pty *pty, int *code);
void pty_hang_up(const struct pty *pty);
/* SIGKILL to all that is left of the session. */
void pty_kill(const struct pty *pty);
void pty_close(struct pty *pty);

#endif
