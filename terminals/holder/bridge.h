/* What LXD runs: hands its stdin and stdout to the holder, or tells the client why it can't. */
#ifndef BRIDGE_H
#define BRIDGE_H

#include <stdbool.h>

#include "pty.h"

/* The exit status. `launch` NULL: never starts a holder. */
int bridge(const char *id, const struct launch *launch);
/* E on stdout, for what fails before there is a client to listen to. */
int bridge_fail(int code, const char *text);

#endif
