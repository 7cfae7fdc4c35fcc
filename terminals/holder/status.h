/* What runs in the terminal: the T frame's content, but for the seconds. */
#ifndef STATUS_H
#define STATUS_H

#include <stdint.h>

#include "frames.h"
#include "modes.h"
#include "process.h"
#include "pty.h"

#define STATUS_SHELL 1
#define STATUS_ALTERNATE 2
#define STATUS_BRACKETED_PASTE 4
#define STATUS_ECHO 8
#define STATUS_CANONICAL 16

struct status {
    uint16_t flags, others;
    uint8_t command_size, mode_count;
    char command[COMMAND_SIZE];
    uint16_t modes[MODES_MAX];
};

/* Every byte is set, so that two can be compared as memory. */
void status_read(struct status *status, const struct pty *pty, const struct modes *modes);
void send_status(struct outbox *box, const struct status *status, uint32_t since_input, uint32_t since_output);

#endif
