#include <string.h>

#include "holder.h"

#define HEARD_MS 5000   /* an owner that said nothing for longer gives way to a polite claim */
#define CLOSING_MS 1000 /* for a refusal to leave */
#define FINAL_READS 4
#define HOLD_MS 2 /* a K waits so long for the echo: alone it would wake everybody on its way, with the echo behind it */

static void lose_owner(struct holder *holder)
{
    holder->owner = NULL;
    holder->grace_end = holder->now + holder->grace;
    holder->look_at = NEVER;
}

void attach_refuse(struct holder *holder, struct conn *conn, enum refusal code, const char *text)
{
    conn_refuse(conn, &holder->ring, code, holder->epoch, text);
    conn->deadline = holder->now + CLOSING_MS;
    if (conn == holder->owner)
        lose_owner(holder);
}

/* Tells the new owner where it stands. */
static void greet(struct holder *holder, struct conn *conn, const struct claim *claim)
{
    uint64_t base = ring_base(&holder->ring), from = claim->offset;
    if (from > holder->ring.head)
        from = base; /* FROM_BASE, or an offset that never was */
    pty_read_size(&holder->pty);
    struct hello hello = {
        .exited = holder->exited,
        .epoch = holder->epoch,
        .birth = holder->birth,
        .base = base,
        .acked = holder->acked,
        .head = holder->ring.head,
        .cols = holder->pty.cols,
        .rows = holder->pty.rows,
        .from = from,
    };
    send_hello(&conn->outbox, &hello);
    if (from < base)
        send_pair(&conn->outbox, 'G', from, base);
    conn->sent = from < base ? base : from;
}

static void take_claim(struct holder *holder, struct conn *conn, const struct frame *frame)
{
    struct claim claim = claim_decode(frame->payload);
    struct conn *older = holder->owner;
    if (claim.version != PROTOCOL_VERSION)
        attach_refuse(holder, conn, REFUSED_VERSION, "this holder speaks version 1");
    else if (claim_is_foreign(&claim, holder->birth))
        attach_refuse(holder, conn, REFUSED_BIRTH, "another pty has this ID now");
    else if (claim.epoch < holder->epoch)
        attach_refuse(holder, conn, REFUSED_STALE, "a newer owner was here");
    else if (!claim.forced && older && holder->now - older->heard < HEARD_MS)
        attach_refuse(holder, conn, REFUSED_BUSY, "an owner is attached");
    else {
        holder->epoch = claim.epoch;
        if (older)
            attach_refuse(holder, older, REFUSED_FENCED, "a newer owner came");
        holder->owner = conn;
        holder->window = claim.window;
        conn->state = CONN_OWNER;
        conn->deadline = NEVER;
        conn->heard = holder->now;
        pty_resize(&holder->pty, claim.cols, claim.rows);
        greet(holder, conn, &claim);
        holder->told_status = false;
        holder->looked = holder->now - HEARD_MS; /* the first status comes soon, whenever another owner got one */
        terminal_touch(holder);
    }
}

static void take_ack(struct holder *holder, const struct frame *frame)
{
    uint64_t offset = get64(frame->payload);
    if (offset > holder->ring.head)
        offset = holder->ring.head;
    if (offset > holder->acked)
        holder->acked = offset;
    holder->window = window_bound(get32(frame->payload + 8));
}

static void take_owners_frame(struct holder *holder, struct conn *conn, const struct frame *frame)
{
    conn->heard = holder->now;
    switch (frame->type) {
    case 'A':
        attach_refuse(holder, conn, REFUSED_FRAME, "A came twice");
        break;
    case 'I':
        if (outbox_size(&conn->outbox) == 0)
            conn->held_until = holder->now + HOLD_MS;
        input_take(&holder->input, frame, &conn->outbox);
        holder->typed = holder->now;
        terminal_write(holder); /* at once: a key shall not wait for the next turn */
        terminal_touch(holder);
        break;
    case 'W': {
        uint64_t writer = get64(frame->payload);
        send_pair(&conn->outbox, 'K', writer, input_last(&holder->input, writer));
        break;
    }
    case 'C':
        take_ack(holder, frame);
        break;
    case 'R':
        pty_resize(&holder->pty, get16(frame->payload), get16(frame->payload + 2));
        terminal_touch(holder);
        break;
    case 'P':
        send_frame(&conn->outbox, 'P', frame->payload, frame->size);
        break;
    case 'Q':
        terminal_look(holder, true);
        break;
    case 'Z':
        terminal_hang_up(holder);
        break;
    default:
        break;
    }
}

static void take_frame(struct holder *holder, struct conn *conn, const struct frame *frame)
{
    if (conn->state == CONN_OWNER)
        take_owners_frame(holder, conn, frame);
    else if (frame->type == 'A')
        take_claim(holder, conn, frame);
    else if (frame_is_known(frame->type))
        attach_refuse(holder, conn, REFUSED_FRAME, "the first frame must be A");
}

void attach_take_frames(struct holder *holder, struct conn *conn)
{
    size_t at = 0, taken = 0;
    struct frame frame;
    while ((conn->state == CONN_PENDING || conn->state == CONN_OWNER) && conn_is_calm(conn)) {
        enum decoded decoded = frame_decode(conn->inbox + at, conn->have - at, &frame, &taken);
        if (decoded == FRAME_BAD)
            attach_refuse(holder, conn, REFUSED_FRAME, "a frame of a wrong size");
        if (decoded != FRAME_COMPLETE)
            break;
        take_frame(holder, conn, &frame);
        at += taken;
    }
    conn->have -= at;
    memmove(conn->inbox, conn->inbox + at, conn->have);
}

void attach_read(struct holder *holder, struct conn *conn)
{
    bool open = true;
    if (conn_read(conn, &open))
        attach_take_frames(holder, conn);
    if (!open)
        attach_end(holder, conn);
}

void attach_end(struct holder *holder, struct conn *conn)
{
    bool open = true;
    /* A claim of somebody who is gone already must not cut off who is there. */
    for (int i = 0; i < FINAL_READS && open && conn->state == CONN_OWNER && conn_is_calm(conn); i++) {
        if (!conn_read(conn, &open))
            break;
        attach_take_frames(holder, conn);
    }
    if (conn == holder->owner)
        lose_owner(holder);
    conn->state = CONN_GONE;
}

/* The output that may be sent now ends here. */
uint64_t attach_limit(const struct holder *holder)
{
    uint64_t end = holder->acked + holder->window;
    return end < holder->ring.head ? end : holder->ring.head;
}

void attach_flush(struct holder *holder, struct conn *conn)
{
    uint64_t limit = conn == holder->owner ? attach_limit(holder) : 0;
    bool whole = conn_flush(conn, &holder->ring, limit, holder->now);
    if (whole && conn == holder->owner && holder->exited && !conn->told_exit && conn_progress(conn) == holder->ring.head &&
        conn_is_calm(conn)) {
        conn->told_exit = true;
        send_exit(&conn->outbox, holder->exit_code, holder->ring.head, holder->exit_time);
        whole = conn_flush(conn, &holder->ring, limit, holder->now);
    }
    if (!whole)
        attach_end(holder, conn);
    else if (conn->state == CONN_CLOSING && outbox_size(&conn->outbox) == 0)
        conn->state = CONN_GONE;
}
