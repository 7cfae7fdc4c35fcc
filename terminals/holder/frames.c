#include "frames.h"

#include <string.h>

static uint8_t *put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static uint64_t get(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

uint8_t *put16(uint8_t *at, uint64_t value) { return put(at, value, 2); }
uint8_t *put32(uint8_t *at, uint64_t value) { return put(at, value, 4); }
uint8_t *put64(uint8_t *at, uint64_t value) { return put(at, value, 8); }
uint16_t get16(const uint8_t *at) { return (uint16_t)get(at, 2); }
uint32_t get32(const uint8_t *at) { return (uint32_t)get(at, 4); }
uint64_t get64(const uint8_t *at) { return get(at, 8); }

static uint8_t *put_head(uint8_t *at, char type, size_t payload)
{
    at = put(at, payload + 1, 3);
    *at++ = (uint8_t)type;
    return at;
}

uint8_t *put_output_head(uint8_t *at, uint64_t offset, size_t n)
{
    return put64(put_head(at, 'O', 8 + n), offset);
}

/* Unknown types may have any size: they are skipped. */
static bool size_fits(uint8_t type, size_t size)
{
    switch (type) {
    case 'A': return size == 42;
    case 'I': return size > 16 && size <= 16 + INPUT_MAX;
    case 'W': return size == 8;
    case 'C': return size == 12;
    case 'R':
    case 'P': return size == 4;
    case 'Q':
    case 'Z': return size == 0;
    default: return true;
    }
}

bool frame_is_known(uint8_t type) { return type != 0 && strchr("AIWCRPQZ", type) != NULL; }

enum decoded frame_decode(const uint8_t *bytes, size_t n, struct frame *frame, size_t *taken)
{
    if (n < FRAME_HEAD)
        return FRAME_INCOMPLETE;
    size_t length = get(bytes, 3);
    if (length == 0 || length > FRAME_LENGTH_MAX || !size_fits(bytes[3], length - 1))
        return FRAME_BAD;
    if (n < 3 + length)
        return FRAME_INCOMPLETE;
    *frame = (struct frame){.type = bytes[3], .payload = bytes + FRAME_HEAD, .size = length - 1};
    *taken = 3 + length;
    return FRAME_COMPLETE;
}

struct claim claim_decode(const uint8_t *payload)
{
    struct claim claim = {
        .version = payload[0],
        .forced = payload[1] & 1,
        .epoch = get64(payload + 2),
        .offset = get64(payload + 26),
        .window = window_bound(get32(payload + 34)),
        .cols = get16(payload + 38),
        .rows = get16(payload + 40),
    };
    memcpy(claim.birth, payload + 10, BIRTH_SIZE);
    return claim;
}

bool claim_is_foreign(const struct claim *claim, const uint8_t *birth)
{
    static const uint8_t any[BIRTH_SIZE];
    return memcmp(claim->birth, any, BIRTH_SIZE) != 0 && memcmp(claim->birth, birth, BIRTH_SIZE) != 0;
}

uint32_t window_bound(uint32_t window)
{
    return window < WINDOW_MIN ? WINDOW_MIN : window > WINDOW_MAX ? WINDOW_MAX : window;
}

size_t outbox_size(const struct outbox *box) { return box->to - box->from; }

void outbox_add(struct outbox *box, const void *bytes, size_t n)
{
    if (box->to + n > OUTBOX_SIZE) {
        memmove(box->bytes, box->bytes + box->from, outbox_size(box));
        box->to -= box->from;
        box->from = 0;
    }
    if (box->to + n > OUTBOX_SIZE)
        __builtin_trap(); /* a client isn't read above OUTBOX_CALM, so this can't be reached */
    memcpy(box->bytes + box->to, bytes, n);
    box->to += n;
}

void outbox_prepend(struct outbox *box, const void *bytes, size_t n)
{
    size_t held = outbox_size(box);
    if (held + n > OUTBOX_SIZE)
        __builtin_trap();
    memmove(box->bytes + n, box->bytes + box->from, held);
    memcpy(box->bytes, bytes, n);
    box->from = 0;
    box->to = n + held;
}

void send_frame(struct outbox *box, char type, const uint8_t *payload, size_t n)
{
    uint8_t head[FRAME_HEAD];
    put_head(head, type, n);
    outbox_add(box, head, sizeof head);
    if (n > 0)
        outbox_add(box, payload, n);
}

void send_hello(struct outbox *box, const struct hello *hello)
{
    uint8_t payload[62], *at = payload;
    *at++ = PROTOCOL_VERSION;
    *at++ = hello->exited ? 1 : 0;
    at = put64(at, hello->epoch);
    memcpy(at, hello->birth, BIRTH_SIZE);
    at = put64(at + BIRTH_SIZE, hello->base);
    at = put64(at, hello->acked);
    at = put64(at, hello->head);
    at = put16(at, hello->cols);
    at = put16(at, hello->rows);
    at = put64(at, hello->from);
    send_frame(box, 'H', payload, (size_t)(at - payload));
}

void send_pair(struct outbox *box, char type, uint64_t first, uint64_t second)
{
    uint8_t payload[16];
    put64(put64(payload, first), second);
    send_frame(box, type, payload, sizeof payload);
}

void send_nak(struct outbox *box, uint64_t writer, uint64_t expected, enum nak reason)
{
    uint8_t payload[17];
    *put64(put64(payload, writer), expected) = (uint8_t)reason;
    send_frame(box, 'N', payload, sizeof payload);
}

void send_exit(struct outbox *box, int32_t code, uint64_t offset, uint64_t time)
{
    uint8_t payload[20];
    put64(put64(put32(payload, (uint32_t)code), offset), time);
    send_frame(box, 'X', payload, sizeof payload);
}

void send_error(struct outbox *box, enum refusal code, uint64_t epoch, const char *text)
{
    uint8_t payload[9 + ERROR_TEXT_MAX];
    size_t n = strnlen(text, ERROR_TEXT_MAX);
    payload[0] = (uint8_t)code;
    put64(payload + 1, epoch);
    memcpy(payload + 9, text, n);
    send_frame(box, 'E', payload, 9 + n);
}
