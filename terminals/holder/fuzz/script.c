#include "script.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"

#define PIECE_MARK 0xf5
#define CHUNK 65536

struct script script_open(const uint8_t *data, size_t size)
{
    uint32_t salt = 2166136261U;
    for (size_t i = 0; i < size; i++)
        salt = (salt ^ data[i]) * 16777619U;
    return (struct script){data, size, salt};
}

uint8_t script_byte(struct script *script)
{
    if (script->size == 0)
        return 0;
    script->size--;
    return *script->data++;
}

uint16_t script_word(struct script *script)
{
    unsigned high = script_byte(script);
    return (uint16_t)(high << 8 | script_byte(script));
}

/* --- The pty: a socket pair --- */

uint8_t world_byte_at(const struct world *world, uint64_t offset)
{
    return (uint8_t)((((uint32_t)offset ^ world->salt) * 2654435761U) >> 23);
}

static void print(struct world *world, size_t n)
{
    uint8_t bytes[CHUNK];
    for (size_t i = 0; i < n; i++)
        bytes[i] = world_byte_at(world, world->produced + i);
    ssize_t written = send(world->slave, bytes, n, MSG_NOSIGNAL);
    world->produced += written > 0 ? (uint64_t)written : 0;
}

/* The length of what a writer types with a seq: the same whenever it is sent again. */
static size_t piece_size(uint16_t seq) { return seq % 8 == 5 ? INPUT_MAX - 8 : seq * 37U % 300; }

static void arrive(struct world *world, uint8_t byte)
{
    if (world->piece_left > 0) {
        world->piece_left--;
        MUST(byte == 'i');
        return;
    }
    world->piece[world->have++] = byte;
    if (world->have < sizeof world->piece)
        return;
    world->have = 0;
    uint8_t writer = world->piece[1];
    uint16_t seq = get16(world->piece + 2);
    MUST(world->piece[0] == PIECE_MARK && writer < WRITER_IDS);
    MUST(seq == world->arrived[writer] + 1); /* once, and in order */
    world->arrived[writer] = seq;
    world->piece_left = piece_size(seq);
}

bool world_take_input(struct world *world, size_t most)
{
    uint8_t bytes[CHUNK];
    ssize_t n = recv(world->slave, bytes, most < CHUNK ? most : CHUNK, 0);
    for (ssize_t i = 0; i < n && !world->garbled; i++)
        arrive(world, bytes[i]);
    return n > 0;
}

void world_check_taken(const struct world *world)
{
    for (int i = 0; i < WRITER_IDS && !world->garbled; i++)
        MUST(world->arrived[i] >= world->taken[i]); /* K is a promise */
}

bool pty_start(struct pty *pty, const struct launch *launch, char *why, size_t why_size)
{
    (void)pty, (void)launch, (void)why, (void)why_size;
    return false;
}
void pty_resize(const struct pty *pty, uint16_t cols, uint16_t rows) { (void)pty, (void)cols, (void)rows; }
void pty_read_size(struct pty *pty) { pty->cols = 80; }
pid_t pty_foreground(const struct pty *pty) { return (void)pty, 0; }
void pty_hang_up(const struct pty *pty) { (void)pty; }
void pty_kill(const struct pty *pty) { (void)pty; }
void pty_close(struct pty *pty)
{
    if (pty->master >= 0)
        close(pty->master);
    pty->master = -1;
}

void world_open(struct world *world, struct holder *holder, uint32_t salt)
{
    static const int small = 4096;
    static unsigned count;
    int ends[2], signals[2];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(world, 0, offsetof(struct world, clients));
    world->now = 1000000;
    world->salt = salt;
    for (int i = 0; i < CLIENTS; i++)
        world->clients[i].bridge = -1;
    /* An abstract address: no file. */
    int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "fuzz-%d-%u", (int)getpid(), count++);
    world->address = address;
    world->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    holder->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    MUST(bind(holder->listener, (struct sockaddr *)&address, world->address_size) == 0 && listen(holder->listener, 16) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0 && pipe2(signals, O_NONBLOCK) == 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small); /* a shell that reads slowly */
    holder->pty = (struct pty){.master = ends[0], .slave = -1, .shell = 1, .cols = 80, .rows = 24};
    world->slave = ends[1];
    holder->signals = signals[0];
    world->signals = signals[1];
}

void world_close(struct world *world, struct holder *holder)
{
    for (int i = 0; i < CLIENTS; i++)
        client_close(&world->clients[i]);
    close(world->slave);
    close(world->signals);
    close(holder->listener);
    close(holder->signals);
}

/* --- The steps --- */

static void queue_claim(struct world *world, struct client *client, struct script *script)
{
    static const uint64_t windows[] = {0, 5000, 65536, UINT32_MAX};
    uint8_t how = script_byte(script), payload[42] = {PROTOCOL_VERSION, how & 1}, *at = payload + 2;
    uint64_t offsets[] = {FROM_BASE, world->produced, world->first, world->produced - script_word(script)};
    at = put64(at, script_byte(script) % 8);
    memset(at, (how & 6) == 6 ? 'b' : 0, BIRTH_SIZE);
    at = put64(at + BIRTH_SIZE, offsets[how >> 3 & 3]);
    at = put32(at, windows[how >> 5 & 3]);
    put16(put16(at, 100), how & 1);
    client_queue(client, 'A', payload, sizeof payload);
}

static void queue_input(struct world *world, struct client *client, struct script *script)
{
    static uint8_t payload[16 + INPUT_MAX];
    uint8_t how = script_byte(script), writer = how % WRITER_IDS;
    uint16_t *sent = &world->sent[writer], seq = *sent;
    switch (how / WRITER_IDS % 4) {
    case 0: seq = ++*sent; break;
    case 1: break;                                           /* again */
    case 2: seq = (uint16_t)(seq + 2); break;                /* a hole */
    default: seq = *sent = (uint16_t)(world->taken[writer] + 1); /* after a loss */
    }
    uint8_t *at = put64(put64(payload, writer), seq);
    *at++ = PIECE_MARK;
    *at++ = writer;
    at = put16(at, seq);
    memset(at, 'i', 4 + piece_size(seq));
    client_queue(client, 'I', payload, 16 + 8 + piece_size(seq));
}

static void queue_small(struct client *client, struct script *script)
{
    uint8_t how = script_byte(script), payload[12] = {0};
    switch (how % 6) {
    case 0: client_queue(client, 'P', payload, 4); break;
    case 1: client_queue(client, 'Q', payload, 0); break;
    case 2:
        payload[7] = how / 6 % WRITER_IDS;
        client_queue(client, 'W', payload, 8);
        break;
    case 3: client_queue(client, 'R', payload, 4); break;
    case 4:
        put32(put64(payload, client->next + (how & 64 ? 1000000 : 0)), how & 128 ? UINT32_MAX : 8000);
        client_queue(client, 'C', payload, 12);
        break;
    default:
        if (how & 128)
            client_queue(client, 'Z', payload, 0);
        else
            client_queue(client, '?', payload, how % 12);
    }
}

static void queue_raw(struct world *world, struct client *client, struct script *script)
{
    size_t n = script_byte(script);
    world->garbled = true;
    n = n < script->size ? n : script->size;
    client_queue_bytes(client, script->data, n);
    script->data += n;
    script->size -= n;
}

static void pass_time(struct world *world, struct script *script)
{
    static const int64_t times[] = {1, 90, 1000, 1100, 4999, 5000, 31000, 61000};
    uint8_t how = script_byte(script);
    if (how < 224)
        world->time_left = times[how % 8];
    else
        world->now += times[how % 8]; /* at once: a thaw */
}

bool world_tick(struct world *world)
{
    if (world->time_left == 0)
        return false;
    int64_t step = world->time_left < 1000 ? world->time_left : 1000;
    world->time_left -= step;
    world->now += step;
    return true;
}

static void end_shell(struct world *world)
{
    static const struct signalfd_siginfo child;
    if (!world->shell_ended)
        MUST(write(world->signals, &child, sizeof child) == (ssize_t)sizeof child);
    world->shell_ended = true;
}

void world_step(struct world *world, struct script *script)
{
    uint8_t step = script_byte(script);
    int number = step / 16 % CLIENTS;
    struct client *client = &world->clients[number];
    switch (step % 16) {
    case 0:
    case 1: client_open(world, client, step % 16 == 1); break;
    case 2: queue_claim(world, client, script); break;
    case 3:
    case 4: queue_input(world, client, script); break;
    case 5:
    case 6: queue_small(client, script); break;
    case 7: queue_raw(world, client, script); break;
    case 8:
    case 9: print(world, script_word(script)); break;
    case 10: world_read(world, number, SIZE_MAX); break;
    case 11: world_read(world, number, script_byte(script)); break;
    case 12: world_take_input(world, script_word(script)); break;
    case 13: client_cut(client, script_byte(script)); break;
    case 14: pass_time(world, script); break;
    default:
        if (number == 0)
            end_shell(world);
        else
            client_send(client, script_word(script)); /* a part */
        return;
    }
    if (step < 192)
        client_send(client, SIZE_MAX);
}
