/* The frames of docs/protocol.md: sizes, numbers, packing. Pure: knows no descriptor and no pty. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1
#define BIRTH_SIZE 16
#define FRAME_HEAD 4       /* length u24 and type */
#define FRAME_LENGTH_MAX 65532 /* of type and payload: a frame fits one 64 KiB message of LXD */
#define INPUT_MAX 32768    /* bytes in one I frame */
#define OUTPUT_MAX 32768   /* bytes in one O frame */
#define OUTPUT_HEAD 12     /* length, type and offset, before the bytes of an O frame */
#define WINDOW_MIN 4096
#define WINDOW_MAX 524288  /* half the ring, so that a reader at the window's end never fills it */
#define FROM_BASE UINT64_MAX
#define ERROR_TEXT_MAX 400
#define INBOX_SIZE 65536   /* holds the largest frame whole */
#define OUTBOX_SIZE 65536
#define OUTBOX_CALM 24576  /* above it a client isn't read: what is left takes the rest of an O frame and an E */

/* Codes of E. */
enum refusal {
    REFUSED_STALE = 1,
    REFUSED_BUSY = 2,
    REFUSED_BIRTH = 3,
    REFUSED_FENCED = 4,
    REFUSED_LOST = 5,
    REFUSED_FRAME = 6,
    REFUSED_START = 7,
    REFUSED_VERSION = 8,
};

/* Reasons of N. */
enum nak { NAK_ORDER = 1, NAK_UNKNOWN = 2, NAK_FULL = 3 };

struct frame {
    uint8_t type;
    const uint8_t *payload; /* inside the bytes that were decoded */
    size_t size;
};

enum decoded { FRAME_INCOMPLETE, FRAME_COMPLETE, FRAME_BAD };

/* The first frame in `bytes`; `taken` says how many it used. A wrong size shows as soon as the head is there. */
enum decoded frame_decode(const uint8_t *bytes, size_t n, struct frame *frame, size_t *taken);

/* Whether a holder takes frames of this type; others are skipped. */
bool frame_is_known(uint8_t type);

/* An A frame: who wants to own the pty, and from where. */
struct claim {
    uint8_t version;
    bool forced;
    uint64_t epoch;
    uint8_t birth[BIRTH_SIZE];
    uint64_t offset;
    uint32_t window;
    uint16_t cols, rows;
};

struct claim claim_decode(const uint8_t *payload);
/* Whether the claim means another pty; zeros mean any. */
bool claim_is_foreign(const struct claim *claim, const uint8_t *birth);
uint32_t window_bound(uint32_t window);

/* An H frame. */
struct hello {
    bool exited;
    uint64_t epoch;
    const uint8_t *birth;
    uint64_t base, acked, head;
    uint16_t cols, rows;
    uint64_t from;
};

/* Control frames on their way out: bounded, in order. */
struct outbox {
    size_t from, to;
    uint8_t bytes[OUTBOX_SIZE];
};

size_t outbox_size(const struct outbox *box);
void outbox_add(struct outbox *box, const void *bytes, size_t n);
/* In front of everything; for what is left of a half-sent O frame. */
void outbox_prepend(struct outbox *box, const void *bytes, size_t n);

void send_frame(struct outbox *box, char type, const uint8_t *payload, size_t n);
void send_hello(struct outbox *box, const struct hello *hello);
void send_pair(struct outbox *box, char type, uint64_t first, uint64_t second); /* G and K */
void send_nak(struct outbox *box, uint64_t writer, uint64_t expected, enum nak reason);
void send_exit(struct outbox *box, int32_t code, uint64_t offset, uint64_t time);
void send_error(struct outbox *box, enum refusal code, uint64_t epoch, const char *text);

/* Byte by byte: payloads aren't aligned, and arm64 is little-endian too. */
uint8_t *put16(uint8_t *at, uint64_t value);
uint8_t *put32(uint8_t *at, uint64_t value);
uint8_t *put64(uint8_t *at, uint64_t value);
uint8_t *put_output_head(uint8_t *at, uint64_t offset, size_t n);
uint16_t get16(const uint8_t *at);
uint32_t get32(const uint8_t *at);
uint64_t get64(const uint8_t *at);

#endif
