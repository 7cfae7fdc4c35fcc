/* How a holder comes to life: cut off from who started it. */
#ifndef BIRTH_H
#define BIRTH_H

#include <stdbool.h>
#include <stddef.h>

#include "pty.h"
#include "state.h"

/* Under the lock. True once the new holder listens; else false with a text in `why`. */
bool birth(const struct state *state, const struct launch *launch, char *why, size_t why_size);

#endif
