/* Which DEC private modes the programs have set, read off the output. As xterm.js understands them, for it replays from them. */
#ifndef MODES_H
#define MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODES_MAX 32
#define MODE_PARAMETERS 32

struct modes {
    enum { MODES_TEXT, MODES_ESCAPE, MODES_CSI } state;
    uint8_t prefix, intermediate; /* of the CSI sequence that is being read; 0: none */
    size_t parameters;            /* complete ones */
    uint32_t parameter;           /* the one being read */
    uint16_t seen[MODE_PARAMETERS];
    size_t count;
    uint16_t set[MODES_MAX];
};

void modes_reset(struct modes *modes);
/* Sequences may be split at any byte. */
void modes_feed(struct modes *modes, const uint8_t *bytes, size_t n);
bool modes_alternate(const struct modes *modes);
bool modes_bracketed_paste(const struct modes *modes);

#endif
