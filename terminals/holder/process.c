#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MAX 8192

bool process_parse(const char *line, struct process *process)
{
    /* The command is in parentheses and may hold any bytes, parentheses too. */
    const char *open = strchr(line, '('), *close = strrchr(line, ')');
    if (!open || !close || close < open)
        return false;
    size_t n = (size_t)(close - open - 1);
    if (n >= COMMAND_SIZE)
        n = COMMAND_SIZE - 1;
    memcpy(process->command, open + 1, n);
    process->command[n] = 0;
    return sscanf(close + 1, " %c %*d %d %d", &process->state, &process->group, &process->session) == 3;
}

bool process_read(pid_t pid, struct process *process)
{
    char path[32], line[512];
    struct stat owner;
    *process = (struct process){.pid = pid};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, line, sizeof line - 1);
    bool known = n > 0 && fstat(fd, &owner) == 0;
    close(fd);
    if (!known)
        return false;
    line[n] = 0;
    process->uid = owner.st_uid;
    return process_parse(line, process);
}

void processes_open(struct processes *all)
{
    all->proc = opendir("/proc");
    all->left = LOOK_MAX;
}

bool processes_next(struct processes *all, struct process *process)
{
    struct dirent *entry;
    while (all->proc && all->left > 0 && (entry = readdir(all->proc)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (*end || pid <= 0)
            continue;
        all->left--;
        if (process_read((pid_t)pid, process))
            return true;
    }
    return false;
}

void processes_close(struct processes *all)
{
    if (all->proc)
        closedir(all->proc);
    all->proc = NULL;
}
