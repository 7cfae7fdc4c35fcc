#include "modes.h"

#include <string.h>

#define ESC 0x1b
#define CAN 0x18
#define SUB 0x1a

/* Modes that stand for one thing: setting one replaces the others, resetting any ends it. */
static const uint16_t screens[] = {47, 1047, 1049, 0};
static const uint16_t mice[] = {9, 1000, 1002, 1003, 0};
static const uint16_t mouse_encodings[] = {1005, 1006, 1015, 1016, 0};
static const uint16_t *const groups[] = {screens, mice, mouse_encodings};

static bool contains(const uint16_t *group, uint16_t mode)
{
    for (; *group; group++)
        if (*group == mode)
            return true;
    return false;
}

static const uint16_t *group_of(uint16_t mode)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (contains(groups[i], mode))
            return groups[i];
    return NULL;
}

static bool is_set(const struct modes *modes, uint16_t mode)
{
    for (size_t i = 0; i < modes->count; i++)
        if (modes->set[i] == mode)
            return true;
    return false;
}

static void unset(struct modes *modes, uint16_t mode)
{
    const uint16_t *group = group_of(mode);
    size_t kept = 0;
    for (size_t i = 0; i < modes->count; i++)
        if (modes->set[i] != mode && !(group && contains(group, modes->set[i])))
            modes->set[kept++] = modes->set[i];
    modes->count = kept;
}

static void set(struct modes *modes, uint16_t mode)
{
    if (group_of(mode))
        unset(modes, mode);
    if (!is_set(modes, mode) && modes->count < MODES_MAX)
        modes->set[modes->count++] = mode;
}

void modes_reset(struct modes *modes)
{
    modes->count = 0;
    set(modes, 7);  /* wrap around */
    set(modes, 25); /* the cursor shows */
}

/* DECSTR: unlike RIS it leaves the alternate screen and the mouse as they are. */
static void soft_reset(struct modes *modes)
{
    size_t kept = 0;
    for (size_t i = 0; i < modes->count; i++)
        if (group_of(modes->set[i]))
            modes->set[kept++] = modes->set[i];
    modes->count = kept;
    set(modes, 7);
    set(modes, 25);
}

static void end_parameter(struct modes *modes)
{
    if (modes->parameters < MODE_PARAMETERS)
        modes->seen[modes->parameters++] = (uint16_t)modes->parameter;
    modes->parameter = 0;
}

static void end_sequence(struct modes *modes, uint8_t final)
{
    modes->state = MODES_TEXT;
    if (final == 'p' && modes->prefix == 0 && modes->intermediate == '!')
        soft_reset(modes);
    if (modes->prefix != '?' || modes->intermediate != 0 || (final != 'h' && final != 'l'))
        return;
    end_parameter(modes);
    for (size_t i = 0; i < modes->parameters; i++)
        if (modes->seen[i] == 0)
            continue; /* an empty parameter */
        else if (final == 'h')
            set(modes, modes->seen[i]);
        else
            unset(modes, modes->seen[i]);
}

static void feed_csi(struct modes *modes, uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        modes->parameter = modes->parameter * 10 + (uint32_t)(byte - '0');
        if (modes->parameter > UINT16_MAX)
            modes->parameter = UINT16_MAX;
    } else if (byte == ';')
        end_parameter(modes);
    else if (byte >= '<' && byte <= '?')
        modes->prefix = byte;
    else if (byte >= 0x20 && byte < 0x30)
        modes->intermediate = byte;
    else if (byte >= 0x40 && byte < 0x7f)
        end_sequence(modes, byte);
    else if (byte == CAN || byte == SUB || byte >= 0x80)
        modes->state = MODES_TEXT;
    /* Other control characters act amid a sequence and don't end it. */
}

static void feed(struct modes *modes, uint8_t byte)
{
    if (byte == ESC) {
        modes->state = MODES_ESCAPE; /* from any state, inside of strings too */
        return;
    }
    if (modes->state == MODES_CSI) {
        feed_csi(modes, byte);
        return;
    }
    if (byte == '[') {
        modes->state = MODES_CSI;
        modes->prefix = modes->intermediate = 0;
        modes->parameters = 0;
        modes->parameter = 0;
    } else if (byte >= 0x20 || byte == CAN || byte == SUB) {
        modes->state = MODES_TEXT;
        if (byte == 'c')
            modes_reset(modes);
    }
}

void modes_feed(struct modes *modes, const uint8_t *bytes, size_t n)
{
    const uint8_t *end = bytes + n;
    while (bytes < end) {
        if (modes->state == MODES_TEXT) {
            bytes = memchr(bytes, ESC, (size_t)(end - bytes));
            if (!bytes)
                return;
        }
        feed(modes, *bytes++);
    }
}

bool modes_alternate(const struct modes *modes)
{
    return is_set(modes, 47) || is_set(modes, 1047) || is_set(modes, 1049);
}

bool modes_bracketed_paste(const struct modes *modes) { return is_set(modes, 2004); }
