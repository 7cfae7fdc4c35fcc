#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "holder.h"

#define READ_TURN 65536    /* bytes read from the pty before they are sent: large frames in bulk, short waits for others */
#define DRAIN_MAX 262144   /* more than a pty holds: a background job's flood after the shell's end is not waited for */
#define LOOK_DELAY_MS 100  /* after activity: by then the shell has started what was typed */
#define LOOK_INTERVAL_MS 1000
#define HANG_UP_MS 2000

bool terminal_open(struct holder *holder, const struct launch *launch, char *why, size_t why_size)
{
    modes_reset(&holder->modes);
    holder->typed = holder->printed = holder->now;
    holder->look_at = holder->linger_end = holder->kill_at = NEVER;
    return pty_start(&holder->pty, launch, why, why_size);
}

/* How many bytes may be read from the pty now. */
size_t terminal_room(const struct holder *holder)
{
    uint64_t head = holder->ring.head, keep = holder->acked;
    if (holder->pty.master < 0)
        return 0;
    if (!holder->owner) {
        if (holder->now >= holder->grace_end)
            return RING_SIZE;
    } else if (conn_progress(holder->owner) < keep)
        keep = conn_progress(holder->owner);
    size_t room = RING_SIZE - (size_t)(head - keep);
    if (!holder->owner || holder->ended)
        return room; /* what an ended shell left is read at once: the pty would lose it */
    uint64_t end = holder->acked + holder->window;
    size_t wanted = head < end ? (size_t)(end - head) : 0;
    return wanted < room ? wanted : room;
}

static void advance(struct holder *holder, const struct iovec *span, int pieces, size_t n)
{
    for (int i = 0; i < pieces && n > 0; i++) {
        size_t part = n < span[i].iov_len ? n : span[i].iov_len;
        modes_feed(&holder->modes, span[i].iov_base, part);
        holder->ring.head += part;
        n -= part;
    }
    /* Bytes that are gone can't be acknowledged any more, and mustn't hold up what comes after them. */
    if (holder->acked < ring_base(&holder->ring))
        holder->acked = ring_base(&holder->ring);
    holder->printed = holder->now;
    terminal_touch(holder);
}

static void finish(struct holder *holder)
{
    struct exit_record record = {
        .code = holder->exit_code, .offset = holder->ring.head, .time = holder->exit_time};
    memcpy(record.birth, holder->birth, BIRTH_SIZE);
    /* A record that can't be written makes the end a loss for those who come after the linger; nobody could be told. */
    state_write_exit(&holder->state, &record);
    pty_close(&holder->pty);
    holder->exited = true;
    holder->linger_end = holder->now + holder->linger;
    holder->input.from = holder->input.to = 0;
    terminal_touch(holder);
}

/* Reads until the pty is empty or the turn is full. */
void terminal_read(struct holder *holder)
{
    size_t turn = 0, room = 1;
    bool empty = false;
    while (!empty && turn < READ_TURN && (room = terminal_room(holder)) > 0) {
        struct iovec span[2];
        size_t wanted = room < READ_TURN - turn ? room : READ_TURN - turn;
        int pieces = ring_span(&holder->ring, holder->ring.head, wanted, span);
        ssize_t n = readv(holder->pty.master, span, pieces);
        if (n > 0) {
            advance(holder, span, pieces, (size_t)n);
            turn += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            empty = true;
        }
    }
    holder->drained += holder->ended ? turn : 0;
    if (holder->ended && !holder->exited && (empty || holder->drained > DRAIN_MAX))
        finish(holder);
}

void terminal_write(struct holder *holder)
{
    struct input *input = &holder->input;
    while (holder->pty.master >= 0 && input_size(input) > 0) {
        ssize_t n = write(holder->pty.master, input->bytes + input->from, input_size(input));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        input->from += (size_t)n;
    }
    input->from = input->to = 0; /* an ended shell takes no more */
}

void terminal_reap(struct holder *holder)
{
    if (holder->ended || !pty_ended(&holder->pty, &holder->exit_code))
        return;
    holder->ended = true;
    holder->exit_time = (uint64_t)time(NULL);
}

/* Z: asks all to go, then makes them; when the shell is gone already, the holder goes too. */
void terminal_hang_up(struct holder *holder)
{
    if (holder->exited) {
        if (holder->kill_at != NEVER)
            pty_kill(&holder->pty);
        holder->over = true;
        return;
    }
    pty_hang_up(&holder->pty);
    if (holder->kill_at == NEVER)
        holder->kill_at = holder->now + HANG_UP_MS;
}

/* Something happened that may change the status. */
void terminal_touch(struct holder *holder)
{
    if (!holder->owner)
        return;
    int64_t soon = holder->now + LOOK_DELAY_MS, next = holder->looked + LOOK_INTERVAL_MS;
    int64_t at = soon > next ? soon : next;
    if (at < holder->look_at)
        holder->look_at = at;
    holder->look_again = true;
}

static uint32_t seconds_since(const struct holder *holder, int64_t then)
{
    int64_t seconds = (holder->now - then) / 1000;
    return seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
}

/* Looks at the status, and tells it when it was asked for or has changed. */
void terminal_look(struct holder *holder, bool asked)
{
    struct conn *owner = holder->owner;
    if (!asked) {
        /* Once more afterwards: on a busy machine a command appears late, and it may end without printing. */
        holder->look_at = holder->look_again ? holder->now + LOOK_INTERVAL_MS : NEVER;
        holder->look_again = false;
    }
    holder->looked = holder->now;
    if (!owner || !conn_is_calm(owner))
        return;
    struct status status;
    status_read(&status, &holder->pty, &holder->modes);
    if (!asked && holder->told_status && memcmp(&status, &holder->told, sizeof status) == 0)
        return;
    holder->told = status;
    holder->told_status = true;
    send_status(&owner->outbox, &status, seconds_since(holder, holder->typed), seconds_since(holder, holder->printed));
}
