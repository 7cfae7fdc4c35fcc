/* One client: its descriptors, what came in, what goes out. Knows how to move bytes, not what frames mean. */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"
#include "ring.h"

/* What a bridge says when the kernel lets it send no descriptors: take my stdin and stdout yourself. */
#define FETCH_DESCRIPTORS 1

enum conn_state {
    CONN_BRIDGE,  /* its descriptors are still to come over the unix socket */
    CONN_PENDING, /* its A is still to come */
    CONN_OWNER,
    CONN_CLOSING, /* only what is in the outbox still goes out */
    CONN_GONE,
};

struct conn {
    enum conn_state state;
    int bridge, in, out; /* in and out may be one open file */
    int64_t deadline;    /* ms: for the descriptors, the A, or the last bytes */
    int64_t heard;       /* ms */
    int64_t held_until;  /* ms: answers wait so long for output that they can travel with */
    bool told_exit;
    int poll_index;

    uint64_t sent;            /* output below it is in O frames already */
    size_t head_left, body_left; /* of the O frame that is on its way; its body ends at `sent` */
    uint8_t head[OUTPUT_HEAD];

    size_t have; /* bytes in the inbox, a frame's beginning first */
    struct outbox outbox;
    uint8_t inbox[INBOX_SIZE];
};

/* The memory goes back to the system at close: a holder without an owner is small. */
struct conn *conn_open(int bridge);
void conn_close(struct conn *conn);
/* False: the bridge is gone, or there are no two descriptors to be had. */
bool conn_take_descriptors(struct conn *conn);
/* True when there was something; *open turns false at the end of the stream. */
bool conn_read(struct conn *conn, bool *open);
/* Whether a client may be read: not while answers pile up that it doesn't take. */
bool conn_is_calm(const struct conn *conn);
/* Sends control frames, and output up to `limit`, until the pipe is full. False: the pipe is broken. */
bool conn_flush(struct conn *conn, const struct ring *ring, uint64_t limit, int64_t now);
/* Whether something shall go out now. */
bool conn_has_output(const struct conn *conn, uint64_t limit, int64_t now);
/* Output below it has left the ring. */
uint64_t conn_progress(const struct conn *conn);
/* E, after the rest of a half-sent frame; the ring isn't needed any more then. */
void conn_refuse(struct conn *conn, const struct ring *ring, enum refusal code, uint64_t epoch, const char *text);

#endif
