/* The whole holder but for its birth: the input is a script of what clients, the shell and the clock do. Checked are the
 * holder's bounds after every turn, that it comes to rest, that each client reads the pty's bytes in order and without a
 * hole, and that input arrives at the pty once and in order. The pty is a socket pair here, the clock stands still. */
#include "clock.h"
#include "fuzz.h"
#include "holder.h"
#include "script.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

#define TURNS_MAX 300 /* until nothing is to be done any more */
#define STEPS_MAX 300

static struct holder holder;
static struct world world;

static void check(void)
{
    uint64_t head = holder.ring.head, base = ring_base(&holder.ring);
    bool owned = false;
    MUST(base <= holder.acked && holder.acked <= head && terminal_room(&holder) <= RING_SIZE);
    MUST(holder.input.from <= holder.input.to && holder.input.to <= INPUT_QUEUE);
    for (int i = 0; i < CONNS; i++) {
        const struct conn *conn = holder.conns[i];
        if (!conn)
            continue;
        owned = owned || conn == holder.owner;
        MUST(conn->have < INBOX_SIZE && conn->outbox.from <= conn->outbox.to && conn->outbox.to <= OUTBOX_SIZE);
        MUST((conn == holder.owner) == (conn->state == CONN_OWNER));
        MUST(conn->state != CONN_OWNER || (conn->sent <= head && conn_progress(conn) >= base));
        MUST(conn->state == CONN_OWNER || conn->head_left + conn->body_left == 0);
    }
    MUST(owned == (holder.owner != NULL));
}

/* Until it sleeps. */
static void settle(void)
{
    for (int turn = 0; !holder.over && (turn == 0 || !world.asleep); turn++) {
        MUST(turn < TURNS_MAX);
        serve_turn(&holder);
        check();
    }
}

static void begin(struct script *script)
{
    static const uint64_t heads[] = {0, RING_SIZE - 100, 5 * RING_SIZE + 3, 40 * RING_SIZE - 4000};
    uint8_t *ring = holder.ring.bytes;
    signal(SIGPIPE, SIG_IGN); /* as at its birth */
    holder = (struct holder){.grace = 30000, .linger = 60000};
    holder.ring.bytes = ring;
    MUST(ring || ring_open(&holder.ring));
    world_open(&world, &holder, script->salt);
    holder.now = world.now;
    holder.ring.head = holder.acked = world.produced = world.first = heads[script_byte(script) % 4];
    holder.grace_end = holder.now + holder.grace;
    holder.look_at = holder.linger_end = holder.kill_at = NEVER;
    holder.state.directory = -1; /* a record can't be written: allowed */
    memset(holder.birth, 'b', BIRTH_SIZE);
    modes_reset(&holder.modes);
}

static void end(void)
{
    for (int i = 0; i < CONNS; i++)
        if (holder.conns[i])
            conn_close(holder.conns[i]);
    pty_close(&holder.pty);
    world_close(&world, &holder);
}

int fuzz_poll(struct pollfd *polls, nfds_t n, int timeout);
int fuzz_poll(struct pollfd *polls, nfds_t n, int timeout)
{
    static const struct timespec at_once;
    int ready = ppoll(polls, n, &at_once, NULL);
    world.asleep = ready == 0 && timeout != 0;
    return ready;
}

int64_t clock_ms(void) { return world.now; }

bool pty_ended(struct pty *pty, int *code)
{
    if (!world.shell_ended || pty->shell == 0)
        return false;
    *code = 7;
    pty->shell = 0;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = script_open(data, size);
    begin(&script);
    for (int step = 0; script.size > 0 && step < STEPS_MAX && !holder.over; step++) {
        world_step(&world, &script);
        do
            settle();
        while (world_tick(&world));
    }
    /* Whoever is left takes what there is: nobody gets a byte that the pty didn't give. */
    for (int i = 0; i < CLIENTS; i++)
        world_read(&world, i, SIZE_MAX);
    while (!holder.over && !world.shell_ended && world_take_input(&world, SIZE_MAX))
        settle();
    if (!world.shell_ended)
        world_check_taken(&world);
    end();
    return 0;
}
