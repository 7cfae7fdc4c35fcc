#include "ring.h"

#include <sys/mman.h>

bool ring_open(struct ring *ring)
{
    ring->bytes = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ring->head = 0;
    return ring->bytes != MAP_FAILED;
}

uint64_t ring_base(const struct ring *ring) { return ring->head > RING_SIZE ? ring->head - RING_SIZE : 0; }

int ring_span(const struct ring *ring, uint64_t offset, size_t n, struct iovec span[2])
{
    size_t at = (size_t)(offset % RING_SIZE), first = RING_SIZE - at;
    if (n <= first) {
        span[0] = (struct iovec){ring->bytes + at, n};
        return 1;
    }
    span[0] = (struct iovec){ring->bytes + at, first};
    span[1] = (struct iovec){ring->bytes, n - first};
    return 2;
}
