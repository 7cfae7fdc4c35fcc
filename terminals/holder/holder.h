/* The holder: all that belongs to one pty, and the verbs on it. */
#ifndef HOLDER_H
#define HOLDER_H

#include "conn.h"
#include "input.h"
#include "modes.h"
#include "pty.h"
#include "ring.h"
#include "state.h"
#include "status.h"

#define PENDING_MAX 8
#define CONNS (PENDING_MAX + 8) /* beside the pending ones: the owner, and some that are closing */
#define NEVER INT64_MAX

/* All times are ms of CLOCK_MONOTONIC. */
struct holder {
    int64_t now; /* since the last wake-up */
    struct state state;
    int listener, signals;
    bool over;

    struct pty pty;
    struct ring ring;
    struct input input;
    struct modes modes;
    int64_t pty_retry; /* the master isn't polled before */
    int64_t typed, printed; /* the last input and output */

    uint8_t birth[BIRTH_SIZE];
    uint64_t epoch;
    uint64_t acked; /* only grows; never below the ring's base */
    uint32_t window;
    struct conn *owner; /* one of conns, or NULL */
    struct conn *conns[CONNS];
    int64_t grace, grace_end; /* how long, and until when, un-acked bytes are kept without an owner */

    struct status told; /* the last T to this owner */
    bool told_status, look_again;
    int64_t looked, look_at;

    bool ended, exited; /* the shell was reaped; its last output was read */
    size_t drained;     /* bytes read since it ended */
    int exit_code;
    uint64_t exit_time; /* unix seconds */
    int64_t linger, linger_end, kill_at;
};

/* terminal.c: between the pty and the ring, the queue and the status. */
bool terminal_open(struct holder *holder, const struct launch *launch, char *why, size_t why_size);
size_t terminal_room(const struct holder *holder);
void terminal_read(struct holder *holder);
void terminal_write(struct holder *holder);
void terminal_reap(struct holder *holder);
void terminal_hang_up(struct holder *holder);
void terminal_touch(struct holder *holder);
void terminal_look(struct holder *holder, bool asked);

/* attach.c: who owns the pty, and what its frames do. */
void attach_read(struct holder *holder, struct conn *conn);
/* Frames that were left in the inbox while the client didn't take its answers. */
void attach_take_frames(struct holder *holder, struct conn *conn);
void attach_refuse(struct holder *holder, struct conn *conn, enum refusal code, const char *text);
/* Also what the owner sent before it went is taken. */
void attach_end(struct holder *holder, struct conn *conn);
void attach_flush(struct holder *holder, struct conn *conn);
uint64_t attach_limit(const struct holder *holder);

/* serve.c */
void serve(struct holder *holder);
/* Sleeps until something is to be done, and does it. */
void serve_turn(struct holder *holder);

#endif
