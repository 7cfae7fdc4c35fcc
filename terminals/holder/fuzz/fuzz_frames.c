/* frame_decode: within bounds, and the same frames wherever the stream is cut. */
#include "frames.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0, taken = 0;
    struct frame frame, again;
    enum decoded decoded;
    while ((decoded = frame_decode(data + at, size - at, &frame, &taken)) == FRAME_COMPLETE) {
        MUST(taken >= FRAME_HEAD && taken <= size - at && taken <= INBOX_SIZE);
        MUST(frame.payload == data + at + FRAME_HEAD && frame.size == taken - FRAME_HEAD);
        MUST(frame_decode(data + at, taken - 1, &again, &taken) == FRAME_INCOMPLETE);
        if (frame.type == 'A') {
            struct claim claim = claim_decode(frame.payload);
            MUST(claim.window >= WINDOW_MIN && claim.window <= WINDOW_MAX);
            MUST(!claim_is_foreign(&claim, claim.birth));
        }
        at += FRAME_HEAD + frame.size;
    }
    /* Only a frame's head may be waited for without its size being known and bounded. */
    MUST(decoded == FRAME_BAD || size - at < INBOX_SIZE);
    return 0;
}
