#include "bridge.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "birth.h"
#include "clock.h"
#include "conn.h"
#include "frames.h"
#include "state.h"

#define TRIES 5 /* a holder may end between the connection and its acceptance */
#define FIRST_FRAME_MS 5000

static struct outbox answers;

static int write_answers(void)
{
    while (answers.from < answers.to) {
        struct pollfd out = {.fd = 1, .events = POLLOUT};
        ssize_t n = write(1, answers.bytes + answers.from, answers.to - answers.from);
        if (n > 0)
            answers.from += (size_t)n;
        else if (errno == EAGAIN)
            poll(&out, 1, FIRST_FRAME_MS);
        else if (errno != EINTR)
            return 1;
    }
    return 0;
}

static int fail(enum refusal code, uint64_t epoch, const char *text)
{
    send_error(&answers, code, epoch, text);
    write_answers();
    return 1;
}

int bridge_fail(int code, const char *text) { return fail((enum refusal)code, 0, text); }

static ssize_t read_input(uint8_t *bytes, size_t n, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - clock_ms();
        struct pollfd in = {.fd = 0, .events = POLLIN};
        if (left <= 0 || poll(&in, 1, (int)left) == 0)
            return -1;
        ssize_t got = read(0, bytes, n);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got;
    }
}

/* The client's A; false when an error was told instead. */
static bool read_claim(struct claim *claim)
{
    static uint8_t inbox[INBOX_SIZE];
    int64_t deadline = clock_ms() + FIRST_FRAME_MS;
    size_t have = 0, taken = 0;
    struct frame frame;
    for (;;) {
        enum decoded decoded = frame_decode(inbox, have, &frame, &taken);
        if (decoded == FRAME_COMPLETE && frame.type == 'A') {
            *claim = claim_decode(frame.payload);
            return true;
        }
        if (decoded == FRAME_BAD || (decoded == FRAME_COMPLETE && frame_is_known(frame.type))) {
            fail(REFUSED_FRAME, 0, "the first frame must be A");
            return false;
        }
        if (decoded == FRAME_COMPLETE) {
            have -= taken;
            memmove(inbox, inbox + taken, have);
            continue;
        }
        ssize_t n = read_input(inbox + have, sizeof inbox - have, deadline);
        if (n <= 0) {
            fail(REFUSED_FRAME, 0, "no A within 5 s");
            return false;
        }
        have += (size_t)n;
    }
}

/* In the place of the holder that is gone: its output is gone too. */
static int tell_exit(const struct exit_record *record)
{
    struct claim claim;
    if (!read_claim(&claim))
        return 1;
    if (claim.version != PROTOCOL_VERSION)
        return fail(REFUSED_VERSION, 0, "this holder speaks version 1");
    if (claim_is_foreign(&claim, record->birth))
        return fail(REFUSED_BIRTH, 0, "another pty has this ID now");
    struct hello hello = {
        .exited = true,
        .epoch = claim.epoch,
        .birth = record->birth,
        .base = record->offset,
        .acked = record->offset,
        .head = record->offset,
        .cols = claim.cols,
        .rows = claim.rows,
        .from = claim.offset < record->offset ? claim.offset : record->offset,
    };
    send_hello(&answers, &hello);
    if (hello.from < record->offset)
        send_pair(&answers, 'G', hello.from, record->offset);
    send_exit(&answers, record->code, record->offset, record->time);
    return write_answers();
}

/* True once the holder has taken our stdin and stdout, and has let go of them again. */
static bool pass(int holder)
{
    int fds[2] = {0, 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control = {.bytes = {0}};
    char byte = 0;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    bool taken = false;
    ssize_t n = sendmsg(holder, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == ETOOMANYREFS) {
        /* Somebody else's are in flight: the limit is per user, and all containers' roots may be one user to the kernel. */
        byte = FETCH_DESCRIPTORS;
        n = send(holder, &byte, 1, MSG_NOSIGNAL);
    }
    while (n > 0 || (n < 0 && errno == EINTR)) {
        n = read(holder, &byte, 1);
        taken = taken || n == 1;
    }
    close(holder);
    return taken;
}

/* The holder's socket, or -1; `why` says what failed, and is empty when there just is no holder. */
static int reach(const struct state *state, const struct launch *launch, char *why, size_t why_size)
{
    struct exit_record record;
    why[0] = 0;
    int lock = launch ? state_lock(state) : -1;
    if (launch && lock < 0) {
        snprintf(why, why_size, "could not lock: %s", strerror(errno));
        return -1;
    }
    int holder = state_connect(state);
    if (holder < 0 && errno != ENOENT && errno != ECONNREFUSED)
        snprintf(why, why_size, "could not reach the holder: %s", strerror(errno));
    else if (holder < 0 && launch && !state_read_exit(state, &record) && birth(state, launch, why, why_size))
        holder = state_connect(state);
    if (lock >= 0)
        close(lock);
    return holder;
}

/* The server's own socket in the place of stdin and stdout, where it is on this host and says so. */
static void take_door(void)
{
    const char *path = getenv("EDUCENTER_DOOR");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path)
        return;
    int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (door >= 0 && strlen(path) < sizeof address.sun_path) {
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (connect(door, (struct sockaddr *)&address, sizeof address) == 0) {
            dup2(door, 0);
            dup2(door, 1);
            close(door);
            return;
        }
    }
    fprintf(stderr, "no door: %s\n", strerror(errno)); /* the server goes on over stdin and stdout then */
    if (door >= 0)
        close(door);
}

int bridge(const char *id, const struct launch *launch)
{
    char why[ERROR_TEXT_MAX];
    take_door();
    struct state state;
    struct exit_record record;
    signal(SIGPIPE, SIG_IGN);
    if (!state_open(&state, id, why, sizeof why))
        return fail(REFUSED_START, 0, why);
    for (int i = 0; i < TRIES; i++) {
        int holder = reach(&state, launch, why, sizeof why);
        if (holder >= 0 && pass(holder))
            return 0;
        if (holder >= 0)
            continue;
        if (why[0])
            return fail(REFUSED_START, 0, why);
        if (state_read_exit(&state, &record))
            return tell_exit(&record);
        if (!launch)
            return fail(REFUSED_LOST, 0, "no holder and no exit record");
    }
    return fail(REFUSED_START, 0, "the holder ends whenever it is reached");
}
