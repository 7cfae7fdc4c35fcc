/* The script that a fuzz input is, and the world around the holder that plays it: clients, a pty, a clock. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "holder.h"

#define CLIENTS 6
#define WRITER_IDS 4
#define QUEUE_SIZE ((size_t)1 << 17)

struct script {
    const uint8_t *data;
    size_t size;
    uint32_t salt; /* of the pty's bytes: those of another input must not pass for these */
};

struct script script_open(const uint8_t *data, size_t size);
/* 0 at the end. */
uint8_t script_byte(struct script *script);
uint16_t script_word(struct script *script);

struct client {
    int bridge, to, from; /* `bridge` -1: there is none */
    bool greeted, over;
    uint64_t epoch, next; /* the offset that output goes on from */
    size_t queued, have;
    uint8_t queue[QUEUE_SIZE], inbox[INBOX_SIZE];
};

struct world {
    int64_t now, time_left;
    bool asleep, shell_ended;
    bool garbled; /* raw bytes were sent: what arrives at the pty isn't ours alone */
    int slave, signals;
    struct sockaddr_un address;
    socklen_t address_size;
    uint32_t salt;
    uint64_t first, produced;         /* the pty's bytes from `first` to `produced` are known */
    uint16_t sent[WRITER_IDS], taken[WRITER_IDS], arrived[WRITER_IDS]; /* seqs: the last that was typed, K'd, read */
    size_t have;                      /* of a piece of input that arrived */
    uint8_t piece[8];
    size_t piece_left;
    struct client clients[CLIENTS];
};

/* script.c */
void world_open(struct world *world, struct holder *holder, uint32_t salt);
void world_close(struct world *world, struct holder *holder);
/* Lets a second pass of the time that a step asked for; false when it is over. */
bool world_tick(struct world *world);
void world_step(struct world *world, struct script *script);
uint8_t world_byte_at(const struct world *world, uint64_t offset);
/* False when there was none. */
bool world_take_input(struct world *world, size_t most);
void world_check_taken(const struct world *world);

/* client.c */
void client_open(struct world *world, struct client *client, bool pipes);
void client_close(struct client *client);
void client_cut(struct client *client, uint8_t how);
void client_queue(struct client *client, char type, const uint8_t *payload, size_t n);
void client_queue_bytes(struct client *client, const void *bytes, size_t n);
void client_send(struct client *client, size_t most);
/* Reads what the holder sent, and checks it. */
void world_read(struct world *world, int number, size_t most);

#endif
