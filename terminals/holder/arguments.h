/* The command line (docs/protocol.md, "The holder's frames"). */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "pty.h"

#define USAGE                                                                     \
    "holder start ID COLS ROWS [-u USER] [-s SHELL] [-d DIR] [-e NAME=VALUE]... " \
    "| holder attach ID | holder version"

enum command { COMMAND_WRONG, COMMAND_START, COMMAND_ATTACH, COMMAND_VERSION };

/* `launch` is filled for START; for START and ATTACH the ID is the second argument, still to be checked. */
enum command arguments_read(int count, char **arguments, struct launch *launch);

#endif
