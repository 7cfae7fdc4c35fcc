/* Other processes, as /proc shows them. All of it may be gone or another the next moment. */
#ifndef PROCESS_H
#define PROCESS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define COMMAND_SIZE 16 /* the kernel's, with the final 0 */

struct process {
    pid_t pid, group, session;
    uid_t uid; /* the effective one */
    char state;
    char command[COMMAND_SIZE];
};

struct processes {
    DIR *proc;
    unsigned left; /* bound on the work of one look: a student may have thousands */
};

/* What /proc/PID/stat says; all but pid and uid. */
bool process_parse(const char *line, struct process *process);
bool process_read(pid_t pid, struct process *process);
void processes_open(struct processes *all);
bool processes_next(struct processes *all, struct process *process);
void processes_close(struct processes *all);

#endif
