#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "script.h"

static bool hand_over(int bridge, int in, int out)
{
    int fds[2] = {in, out};
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
    return sendmsg(bridge, &message, MSG_NOSIGNAL) == 1;
}

void client_open(struct world *world, struct client *client, bool pipes)
{
    int in[2], out[2];
    if (client->bridge >= 0)
        return;
    /* Non-blocking: the backlog may be full. */
    int bridge = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(bridge, (const struct sockaddr *)&world->address, world->address_size) < 0) {
        close(bridge);
        return;
    }
    if (pipes) {
        MUST(pipe2(in, O_NONBLOCK) == 0 && pipe2(out, O_NONBLOCK) == 0);
        fcntl(out[0], F_SETPIPE_SZ, 4096); /* little fits: frames are torn everywhere */
    } else {
        int ends[2];
        MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
        in[0] = ends[0];
        in[1] = ends[1];
        out[0] = dup(ends[1]);
        out[1] = dup(ends[0]);
    }
    memset(client, 0, offsetof(struct client, queue));
    client->bridge = bridge;
    client->to = in[1];
    client->from = out[0];
    MUST(hand_over(bridge, in[0], out[1]));
    close(in[0]);
    close(out[1]);
}

void client_close(struct client *client)
{
    if (client->bridge < 0)
        return;
    close(client->bridge);
    if (client->to >= 0)
        close(client->to);
    close(client->from);
    client->bridge = -1;
}

void client_cut(struct client *client, uint8_t how)
{
    if (client->bridge < 0)
        return;
    if (how % 3 == 0 && client->to >= 0) {
        shutdown(client->to, SHUT_WR); /* of a pipe it just fails */
        close(client->to);
        client->to = -1;
    } else if (how % 3 == 1) {
        shutdown(client->bridge, SHUT_RDWR);
    } else {
        client_close(client);
    }
}

void client_queue_bytes(struct client *client, const void *bytes, size_t n)
{
    if (client->bridge < 0 || client->queued + n > QUEUE_SIZE)
        return;
    memcpy(client->queue + client->queued, bytes, n);
    client->queued += n;
}

void client_queue(struct client *client, char type, const uint8_t *payload, size_t n)
{
    uint8_t head[FRAME_HEAD];
    if (client->queued + FRAME_HEAD + n > QUEUE_SIZE)
        return; /* whole or not at all */
    put32(head, (uint32_t)(n + 1) << 8 | (uint8_t)type);
    client_queue_bytes(client, head, sizeof head);
    client_queue_bytes(client, payload, n);
}

void client_send(struct client *client, size_t most)
{
    if (client->bridge < 0 || client->to < 0)
        return;
    size_t n = client->queued < most ? client->queued : most;
    ssize_t sent = n > 0 ? write(client->to, client->queue, n) : 0;
    if (sent <= 0)
        return;
    client->queued -= (size_t)sent;
    memmove(client->queue, client->queue + sent, client->queued);
}

static void check_hello(struct client *client, const struct frame *frame)
{
    uint64_t base = get64(frame->payload + 26), acked = get64(frame->payload + 34), head = get64(frame->payload + 42);
    MUST(!client->greeted && frame->size == 62 && base <= acked && acked <= head);
    client->greeted = true;
    client->next = get64(frame->payload + 54);
    MUST(client->next <= head);
}

static void check_output(const struct world *world, struct client *client, const struct frame *frame)
{
    size_t n = frame->size - 8;
    MUST(client->greeted && frame->size > 8 && n <= OUTPUT_MAX && get64(frame->payload) == client->next);
    for (size_t i = 0; i < n; i++)
        MUST(client->next + i < world->first || frame->payload[8 + i] == world_byte_at(world, client->next + i));
    client->next += n;
    MUST(client->next <= world->produced);
}

static void check_taken(struct world *world, const struct frame *frame)
{
    uint64_t writer = get64(frame->payload), seq = get64(frame->payload + 8);
    MUST(frame->size == 16);
    if (!world->garbled && writer < WRITER_IDS && seq > world->taken[writer])
        world->taken[writer] = (uint16_t)seq;
}

static void check_frame(struct world *world, struct client *client, const struct frame *frame)
{
    MUST(!client->over); /* nothing comes after E */
    switch (frame->type) {
    case 'H': check_hello(client, frame); break;
    case 'O': check_output(world, client, frame); break;
    case 'K': check_taken(world, frame); break;
    case 'G':
        MUST(get64(frame->payload) == client->next && get64(frame->payload + 8) > client->next);
        client->next = get64(frame->payload + 8);
        break;
    case 'X': MUST(client->greeted && get64(frame->payload + 4) == client->next); break;
    case 'E': client->over = true; break;
    default: MUST(frame->type == 'N' || frame->type == 'P' || frame->type == 'T');
    }
}

static void check_frames(struct world *world, struct client *client)
{
    size_t at = 0, taken = 0;
    struct frame frame;
    enum decoded decoded;
    while ((decoded = frame_decode(client->inbox + at, client->have - at, &frame, &taken)) == FRAME_COMPLETE) {
        check_frame(world, client, &frame);
        at += taken;
    }
    MUST(decoded != FRAME_BAD);
    client->have -= at;
    memmove(client->inbox, client->inbox + at, client->have);
}

void world_read(struct world *world, int number, size_t most)
{
    struct client *client = &world->clients[number];
    while (client->bridge >= 0 && most > 0) {
        size_t room = sizeof client->inbox - client->have;
        ssize_t n = read(client->from, client->inbox + client->have, most < room ? most : room);
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN)
                client_close(client);
            return;
        }
        client->have += (size_t)n;
        most -= (size_t)n;
        check_frames(world, client);
    }
}
