#include "input.h"

#include <string.h>

size_t input_size(const struct input *input) { return input->to - input->from; }

static struct writer *find(struct input *input, uint64_t id)
{
    for (struct writer *writer = input->writers; writer < input->writers + WRITERS; writer++)
        if (writer->last != 0 && writer->id == id) {
            writer->used = ++input->clock;
            return writer;
        }
    return NULL;
}

/* The place of whom nobody heard from for longest. Free places were never used, so they go first. */
static struct writer *remember(struct input *input, uint64_t id)
{
    struct writer *oldest = input->writers;
    for (struct writer *writer = input->writers; writer < input->writers + WRITERS; writer++)
        if (writer->used < oldest->used)
            oldest = writer;
    *oldest = (struct writer){.id = id, .used = ++input->clock};
    return oldest;
}

static void enqueue(struct input *input, const uint8_t *bytes, size_t n)
{
    if (input->to + n > INPUT_QUEUE) {
        memmove(input->bytes, input->bytes + input->from, input_size(input));
        input->to -= input->from;
        input->from = 0;
    }
    memcpy(input->bytes + input->to, bytes, n);
    input->to += n;
}

void input_take(struct input *input, const struct frame *frame, struct outbox *answers)
{
    uint64_t id = get64(frame->payload), seq = get64(frame->payload + 8);
    size_t n = frame->size - 16;
    struct writer *writer = find(input, id);
    uint64_t last = writer ? writer->last : 0;

    if (writer && seq <= last)
        send_pair(answers, 'K', id, last);
    else if (!writer && seq != 1)
        send_nak(answers, id, 1, NAK_UNKNOWN);
    else if (seq != last + 1)
        send_nak(answers, id, last + 1, NAK_ORDER);
    else if (n > INPUT_QUEUE - input_size(input))
        send_nak(answers, id, last + 1, NAK_FULL);
    else {
        if (!writer)
            writer = remember(input, id);
        writer->last = seq;
        enqueue(input, frame->payload + 16, n);
        send_pair(answers, 'K', id, seq);
    }
}

uint64_t input_last(struct input *input, uint64_t id)
{
    struct writer *writer = find(input, id);
    return writer ? writer->last : 0;
}
