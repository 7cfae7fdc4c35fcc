#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct conn *conn_open(int bridge)
{
    struct conn *conn = mmap(NULL, sizeof *conn, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (conn == MAP_FAILED)
        return NULL;
    conn->state = CONN_BRIDGE;
    conn->bridge = bridge;
    conn->in = conn->out = -1;
    return conn;
}

void conn_close(struct conn *conn)
{
    if (conn->in >= 0)
        close(conn->in);
    if (conn->out >= 0)
        close(conn->out);
    close(conn->bridge); /* last: the bridge ends then, and LXD with it */
    munmap(conn, sizeof *conn);
}

/* From the bridge itself: what lies in messages is counted per user, and all containers' roots may be one user to the kernel. */
static void fetch_descriptors(const struct conn *conn, int fds[2])
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    bool known = getsockopt(conn->bridge, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    int process = known ? (int)syscall(SYS_pidfd_open, peer.pid, 0) : -1;
    for (int i = 0; i < 2; i++)
        fds[i] = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, i, 0);
    if (process >= 0)
        close(process);
}

static bool keep_descriptors(struct conn *conn, const int fds[2])
{
    char byte = 0;
    conn->in = fds[0];
    conn->out = fds[1];
    for (int i = 0; i < 2; i++) {
        int flags = fds[i] < 0 ? -1 : fcntl(fds[i], F_GETFL);
        if (flags < 0 || fcntl(fds[i], F_SETFL, flags | O_NONBLOCK) < 0)
            return false;
    }
    conn->state = CONN_PENDING;
    /* Tells the bridge that its client is ours now; without it, it would look for another holder. */
    return send(conn->bridge, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

bool conn_take_descriptors(struct conn *conn)
{
    int fds[2] = {-1, -1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control;
    char byte;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(conn->bridge, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (n == 1 && !header && byte == FETCH_DESCRIPTORS) {
        fetch_descriptors(conn, fds);
        return keep_descriptors(conn, fds);
    }
    if (n != 1 || !header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return false;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
    memcpy(fds, CMSG_DATA(header), sizeof *fds * (count < 2 ? count : 2));
    if (count != 2) {
        if (count == 1)
            close(fds[0]);
        return false;
    }
    return keep_descriptors(conn, fds);
}

bool conn_read(struct conn *conn, bool *open)
{
    ssize_t n;
    do
        n = read(conn->in, conn->inbox + conn->have, INBOX_SIZE - conn->have);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        conn->have += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        *open = false;
    return n > 0;
}

bool conn_is_calm(const struct conn *conn)
{
    return outbox_size(&conn->outbox) <= OUTBOX_CALM;
}

bool conn_has_output(const struct conn *conn, uint64_t limit, int64_t now)
{
    if (outbox_size(&conn->outbox) > 0 && (conn->state != CONN_OWNER || now >= conn->held_until))
        return true;
    return conn->state == CONN_OWNER && (conn->head_left + conn->body_left > 0 || conn->sent < limit);
}

uint64_t conn_progress(const struct conn *conn) { return conn->sent - conn->body_left; }

static void begin_output(struct conn *conn, uint64_t limit)
{
    uint64_t n = limit - conn->sent;
    if (n > OUTPUT_MAX)
        n = OUTPUT_MAX;
    put_output_head(conn->head, conn->sent, (size_t)n);
    conn->head_left = OUTPUT_HEAD;
    conn->body_left = (size_t)n;
    conn->sent += n;
}

/* What hasn't left of the O frame: the rest of its head and of its body, straight from the ring. */
static int output_rest(struct conn *conn, const struct ring *ring, struct iovec rest[3])
{
    rest[0] = (struct iovec){conn->head + OUTPUT_HEAD - conn->head_left, conn->head_left};
    return 1 + ring_span(ring, conn->sent - conn->body_left, conn->body_left, rest + 1);
}

/* Control frames go before output, in the same write: one wake-up for both at the other end. */
static ssize_t write_next(struct conn *conn, const struct ring *ring)
{
    struct outbox *box = &conn->outbox;
    struct iovec pieces[4];
    bool half_sent = conn->head_left + conn->body_left > 0 && conn->head_left < OUTPUT_HEAD;
    size_t boxed = half_sent ? 0 : outbox_size(box);
    pieces[0] = (struct iovec){box->bytes + box->from, boxed};
    ssize_t n = writev(conn->out, pieces, 1 + output_rest(conn, ring, pieces + 1));
    if (n < 0)
        return n;
    size_t left = (size_t)n, of_box = left < boxed ? left : boxed;
    box->from += of_box;
    if (box->from == box->to)
        box->from = box->to = 0;
    left -= of_box;
    size_t of_head = left < conn->head_left ? left : conn->head_left;
    conn->head_left -= of_head;
    conn->body_left -= left - of_head;
    return n;
}

bool conn_flush(struct conn *conn, const struct ring *ring, uint64_t limit, int64_t now)
{
    while (conn_has_output(conn, limit, now)) {
        if (conn->state == CONN_OWNER && conn->head_left + conn->body_left == 0 && conn->sent < limit)
            begin_output(conn, limit);
        if (write_next(conn, ring) >= 0 || errno == EINTR)
            continue;
        if (conn->head_left == OUTPUT_HEAD) {
            /* Nothing of it left: a control frame that comes meanwhile shall not wait behind it. */
            conn->sent -= conn->body_left;
            conn->head_left = conn->body_left = 0;
        }
        return errno == EAGAIN;
    }
    return true;
}

void conn_refuse(struct conn *conn, const struct ring *ring, enum refusal code, uint64_t epoch, const char *text)
{
    if (conn->head_left + conn->body_left > 0) {
        struct iovec rest[3];
        for (int i = output_rest(conn, ring, rest) - 1; i >= 0; i--)
            outbox_prepend(&conn->outbox, rest[i].iov_base, rest[i].iov_len);
        conn->head_left = conn->body_left = 0;
    }
    send_error(&conn->outbox, code, epoch, text);
    conn->state = CONN_CLOSING;
}
