/* Which shell, and how a child becomes it. */
#ifndef SHELL_H
#define SHELL_H

#include <stddef.h>

#include "pty.h"
#include "user.h"

/* A path that can be executed, or NULL and why not. */
const char *shell_choose(const struct launch *launch, const struct user *user, char *why, size_t why_size);
/* In the child, never returns: what goes wrong is written to `report`, which closes when the shell runs. */
_Noreturn void shell_become(const struct launch *launch, const struct user *user, const char *shell, int terminal, int report);

#endif
