/* Input on its way to the pty: exactly once per writer, bounded. Doesn't write to the pty itself. */
#ifndef INPUT_H
#define INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "frames.h"

#define INPUT_QUEUE 65536
#define WRITERS 64

struct writer {
    uint64_t id;
    uint64_t last; /* seq; 0: a free place, for a writer is remembered from its seq 1 on */
    uint64_t used; /* by input.clock */
};

struct input {
    size_t from, to;
    uint64_t clock;
    struct writer writers[WRITERS];
    uint8_t bytes[INPUT_QUEUE];
};

size_t input_size(const struct input *input);
/* Takes one I frame and answers it with K or N. */
void input_take(struct input *input, const struct frame *frame, struct outbox *answers);
uint64_t input_last(struct input *input, uint64_t id);

#endif
