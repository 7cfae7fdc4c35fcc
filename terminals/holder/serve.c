#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "holder.h"

#define FIRST_FRAME_MS 5000
#define TICK_MS 1000 /* while the grace runs: how long the machine slept can only be seen from wake-ups */
#define THAW_MS 2000
#define RETRY_MS 1000
#define LISTENING_MS 5000 /* beyond the linger, for an owner that still takes output */

enum { POLL_LISTENER, POLL_SIGNALS, POLL_MASTER, POLL_CONNS };
enum { POLL_BRIDGE, POLL_IN, POLL_OUT, POLLS_PER_CONN };
#define POLLS (POLL_CONNS + CONNS * POLLS_PER_CONN)

static int count_pending(const struct holder *holder)
{
    int n = 0;
    for (int i = 0; i < CONNS; i++)
        n += holder->conns[i] && holder->conns[i]->state <= CONN_PENDING;
    return n;
}

static bool has_place(const struct holder *holder)
{
    int used = 0;
    for (int i = 0; i < CONNS; i++)
        used += holder->conns[i] != NULL;
    return used < CONNS && count_pending(holder) < PENDING_MAX;
}

static void add_poll(struct pollfd *poll, int fd, short events)
{
    *poll = (struct pollfd){.fd = fd, .events = events};
}

static struct pollfd *polls_of(struct pollfd *polls, int conn) { return &polls[POLL_CONNS + conn * POLLS_PER_CONN]; }

static void prepare_conn(const struct holder *holder, struct conn *conn, struct pollfd *polls)
{
    bool reads = conn->state == CONN_PENDING || conn->state == CONN_OWNER;
    uint64_t limit = conn == holder->owner ? attach_limit(holder) : 0;
    add_poll(polls + POLL_BRIDGE, conn->bridge, POLLIN);
    add_poll(polls + POLL_IN, reads ? conn->in : -1, conn_is_calm(conn) ? POLLIN : 0);
    add_poll(polls + POLL_OUT, conn->out, conn_has_output(conn, limit, holder->now) ? POLLOUT : 0);
}

static void prepare(struct holder *holder, struct pollfd *polls)
{
    short events = 0;
    if (terminal_room(holder) > 0)
        events |= POLLIN;
    if (input_size(&holder->input) > 0 && !holder->ended)
        events |= POLLOUT;
    /* A hang-up is always reported, so the master is only polled when something can be done with it. */
    bool waits = events == 0 || holder->now < holder->pty_retry;
    add_poll(polls + POLL_LISTENER, has_place(holder) ? holder->listener : -1, POLLIN);
    add_poll(polls + POLL_SIGNALS, holder->signals, POLLIN);
    add_poll(polls + POLL_MASTER, waits ? -1 : holder->pty.master, events);
    for (int i = 0; i < CONNS; i++) {
        struct pollfd *of_conn = polls_of(polls, i);
        for (int j = 0; j < POLLS_PER_CONN; j++)
            add_poll(of_conn + j, -1, 0);
        if (holder->conns[i])
            prepare_conn(holder, holder->conns[i], of_conn);
    }
}

static int64_t earlier(int64_t left, int64_t right) { return left < right ? left : right; }

static int64_t next_wake(const struct holder *holder)
{
    int64_t wake = earlier(holder->look_at, earlier(holder->kill_at, holder->linger_end));
    for (int i = 0; i < CONNS; i++)
        if (holder->conns[i]) {
            wake = earlier(wake, holder->conns[i]->deadline);
            if (outbox_size(&holder->conns[i]->outbox) > 0 && holder->now < holder->conns[i]->held_until)
                wake = earlier(wake, holder->conns[i]->held_until);
        }
    if (!holder->owner && !holder->exited && holder->now < holder->grace_end)
        wake = earlier(wake, earlier(holder->grace_end, holder->now + TICK_MS));
    if (holder->pty.master >= 0 && holder->now < holder->pty_retry)
        wake = earlier(wake, holder->pty_retry);
    return wake;
}

/* Sleeps; a wake-up long after its time means that the container was frozen, which isn't the owner's absence. */
static void sleep_until(struct holder *holder, struct pollfd *polls, int64_t wake)
{
    int64_t left = wake - holder->now;
    bool grace = !holder->owner && holder->now < holder->grace_end;
    if (poll(polls, POLLS, wake == NEVER ? -1 : left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left) < 0)
        for (int i = 0; i < POLLS; i++)
            polls[i].revents = 0;
    holder->now = clock_ms();
    if (grace && holder->now > wake + THAW_MS)
        holder->grace_end = holder->now + holder->grace;
}

static void serve_conn(struct holder *holder, struct conn *conn, const struct pollfd *polls)
{
    if (conn->state == CONN_BRIDGE) {
        if (polls[POLL_BRIDGE].revents && !conn_take_descriptors(conn))
            conn->state = CONN_GONE;
        return;
    }
    short in = polls[POLL_IN].revents, out = polls[POLL_OUT].revents;
    if (polls[POLL_BRIDGE].revents || (out & (POLLERR | POLLHUP | POLLNVAL)) || (in && !conn_is_calm(conn)))
        attach_end(holder, conn);
    else if (in && conn->state <= CONN_OWNER)
        attach_read(holder, conn);
}

/* The owner first: what it said before a claim came counts before the claim. */
static void serve_conns(struct holder *holder, struct pollfd *polls)
{
    const struct conn *first = holder->owner;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < CONNS; i++)
            if (holder->conns[i] && (holder->conns[i] == first) == (pass == 0))
                serve_conn(holder, holder->conns[i], polls_of(polls, i));
}

static void flush_conns(struct holder *holder)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *conn = holder->conns[i];
        if (!conn || conn->out < 0 || conn->state == CONN_GONE)
            continue;
        size_t had;
        do {
            attach_flush(holder, conn);
            had = conn->have;
            attach_take_frames(holder, conn); /* those that waited for room for their answers */
        } while (conn->have != had);
    }
}

static void remove_conns(struct holder *holder)
{
    for (int i = 0; i < CONNS; i++)
        if (holder->conns[i] && holder->conns[i]->state == CONN_GONE) {
            conn_close(holder->conns[i]);
            holder->conns[i] = NULL;
        }
}

static void accept_conn(struct holder *holder)
{
    int place = 0;
    while (place < CONNS && holder->conns[place])
        place++;
    int fd = accept4(holder->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct conn *conn = place < CONNS ? conn_open(fd) : NULL;
    if (!conn) {
        close(fd);
        return;
    }
    conn->deadline = holder->now + FIRST_FRAME_MS;
    holder->conns[place] = conn;
}

static void expire_conns(struct holder *holder)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *conn = holder->conns[i];
        if (!conn || holder->now < conn->deadline)
            continue;
        if (conn->state == CONN_PENDING)
            attach_refuse(holder, conn, REFUSED_FRAME, "no A within 5 s");
        else
            conn->state = CONN_GONE;
    }
}

static void expire(struct holder *holder)
{
    expire_conns(holder);
    if (holder->now >= holder->look_at)
        terminal_look(holder, false);
    if (holder->now >= holder->kill_at) {
        pty_kill(&holder->pty);
        holder->kill_at = NEVER;
    }
    if (holder->now >= holder->linger_end) {
        const struct conn *owner = holder->owner;
        if (owner && !owner->told_exit && holder->now - owner->heard < LISTENING_MS)
            holder->linger_end = holder->now + TICK_MS;
        else
            holder->over = true;
    }
}

static void take_signals(struct holder *holder)
{
    struct signalfd_siginfo signal;
    while (read(holder->signals, &signal, sizeof signal) == (ssize_t)sizeof signal)
        ;
    terminal_reap(holder);
}

void serve_turn(struct holder *holder)
{
    struct pollfd polls[POLLS];
    prepare(holder, polls);
    sleep_until(holder, polls, next_wake(holder));
    if (polls[POLL_SIGNALS].revents)
        take_signals(holder);
    serve_conns(holder, polls);
    if (polls[POLL_LISTENER].revents)
        accept_conn(holder);
    if (polls[POLL_MASTER].revents || (holder->ended && !holder->exited))
        terminal_read(holder);
    if (polls[POLL_MASTER].revents & POLLOUT)
        terminal_write(holder);
    /* Hung up by force while the shell lives: it may open its terminal again, but poll would report this for ever. */
    if ((polls[POLL_MASTER].revents & (POLLHUP | POLLERR)) && !holder->ended)
        holder->pty_retry = holder->now + RETRY_MS;
    expire(holder);
    flush_conns(holder);
    remove_conns(holder);
}

void serve(struct holder *holder)
{
    while (!holder->over)
        serve_turn(holder);
    /* Unlinked while it still listens: who comes in between finds the exit record, never a dead socket. */
    state_unlink_socket(&holder->state);
}
