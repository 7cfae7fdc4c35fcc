/* What lies in the state directory for one ID: ID.lock, ID.sock and ID.exit. */
#ifndef STATE_H
#define STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"

#define STATE_DIRECTORY "/dev/.educenter"
#define ID_MAX 40
#define RECORD_SIZE 160

struct state {
    int directory;
    char id[ID_MAX + 1];
};

/* How a shell ended. */
struct exit_record {
    uint8_t birth[BIRTH_SIZE];
    int32_t code;
    uint64_t offset, time;
};

/* False with a text in `why`: a wrong ID, or a directory that isn't ours alone. */
bool state_open(struct state *state, const char *id, char *why, size_t why_size);
/* A descriptor that holds the lock until it is closed; waits for whoever has it. */
int state_lock(const struct state *state);
/* ENOENT or ECONNREFUSED: no holder. */
int state_connect(const struct state *state);
/* Takes the place of a socket file that nobody listens on: only with the lock. */
int state_listen(const struct state *state);
void state_unlink_socket(const struct state *state);
/* The record as text: what of `text` isn't one is refused. */
bool exit_record_parse(const char *text, struct exit_record *record);
/* The length; below RECORD_SIZE. */
size_t exit_record_print(const struct exit_record *record, char text[RECORD_SIZE]);
bool state_read_exit(const struct state *state, struct exit_record *record);
bool state_write_exit(const struct state *state, const struct exit_record *record);

#endif
