/* The last MiB of output, by absolute offset. Who may overwrite what isn't decided here. */
#ifndef RING_H
#define RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RING_SIZE ((size_t)1 << 20)

struct ring {
    uint8_t *bytes;
    uint64_t head; /* offset of the next byte */
};

/* The memory is only touched as output comes, so that a quiet shell costs no MiB. */
bool ring_open(struct ring *ring);
/* The lowest offset that is still there. */
uint64_t ring_base(const struct ring *ring);
/* Where the n bytes from `offset` on lie, in one or two pieces: the count. For reading, or at head for writing. */
int ring_span(const struct ring *ring, uint64_t offset, size_t n, struct iovec span[2]);

#endif
