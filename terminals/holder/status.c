#include "status.h"

#include <string.h>
#include <termios.h>
#include <unistd.h>

static void read_command(struct status *status, const struct process *process)
{
    status->command_size = (uint8_t)strlen(process->command);
    memcpy(status->command, process->command, status->command_size);
    for (uint8_t i = 0; i < status->command_size; i++) {
        unsigned char byte = (unsigned char)process->command[i];
        if (byte < 0x20 || byte == 0x7f)
            status->command[i] = '?';
    }
}

/* One look at all processes: the student's beside the terminal, and who is left of a foreground group without its leader. */
static void read_others(struct status *status, const struct pty *pty, pid_t leaderless)
{
    struct processes all;
    struct process process;
    processes_open(&all);
    while (processes_next(&all, &process)) {
        if (leaderless && process.group == leaderless && process.state != 'Z') {
            read_command(status, &process);
            leaderless = 0;
        }
        /* Root's own processes are the container's. */
        if (pty->uid != 0 && process.uid == pty->uid && process.session != pty->session && process.pid != getpid() &&
            process.state != 'Z' && status->others < UINT16_MAX)
            status->others++;
    }
    processes_close(&all);
}

void status_read(struct status *status, const struct pty *pty, const struct modes *modes)
{
    memset(status, 0, sizeof *status);
    struct termios settings;
    struct process process;
    pid_t group = pty_foreground(pty);
    bool leader = group && process_read(group, &process) && process.state != 'Z';
    if (leader)
        read_command(status, &process);
    if (pty->uid != 0 || (group && !leader))
        read_others(status, pty, leader ? 0 : group);
    if (group && group == pty->shell)
        status->flags |= STATUS_SHELL;
    if (modes_alternate(modes))
        status->flags |= STATUS_ALTERNATE;
    if (modes_bracketed_paste(modes))
        status->flags |= STATUS_BRACKETED_PASTE;
    if (pty->master >= 0 && tcgetattr(pty->master, &settings) == 0) {
        if (settings.c_lflag & ECHO)
            status->flags |= STATUS_ECHO;
        if (settings.c_lflag & ICANON)
            status->flags |= STATUS_CANONICAL;
    }
    status->mode_count = (uint8_t)modes->count;
    memcpy(status->modes, modes->set, modes->count * sizeof *modes->set);
}

void send_status(struct outbox *box, const struct status *status, uint32_t since_input, uint32_t since_output)
{
    uint8_t payload[12 + 2 + COMMAND_SIZE + 2 * MODES_MAX], *at = payload;
    at = put16(at, status->flags);
    at = put32(at, since_input);
    at = put32(at, since_output);
    at = put16(at, status->others);
    *at++ = status->command_size;
    memcpy(at, status->command, status->command_size);
    at += status->command_size;
    *at++ = status->mode_count;
    for (uint8_t i = 0; i < status->mode_count; i++)
        at = put16(at, status->modes[i]);
    send_frame(box, 'T', payload, (size_t)(at - payload));
}
