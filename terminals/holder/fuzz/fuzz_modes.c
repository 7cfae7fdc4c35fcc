/* modes_feed: bounded, each mode once, and the same however the output is cut. The first byte says where. */
#include "fuzz.h"
#include "modes.h"

#include <string.h>

static void check(const struct modes *modes)
{
    MUST(modes->count <= MODES_MAX && modes->parameters <= MODE_PARAMETERS);
    for (size_t i = 0; i < modes->count; i++) {
        MUST(modes->set[i] != 0);
        for (size_t j = 0; j < i; j++)
            MUST(modes->set[i] != modes->set[j]);
    }
}

static bool same(const struct modes *left, const struct modes *right)
{
    return left->state == right->state && left->count == right->count &&
           memcmp(left->set, right->set, left->count * sizeof *left->set) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct modes whole, cut;
    if (size == 0)
        return 0;
    size_t step = data[0] % 16U + 1;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    modes_reset(&whole);
    modes_reset(&cut);
    modes_feed(&whole, data + 1, size - 1);
    for (size_t at = 1; at < size; at += step) {
        modes_feed(&cut, data + at, step < size - at ? step : size - at);
        check(&cut);
    }
    check(&whole);
    MUST(same(&whole, &cut));
    MUST(!modes_alternate(&whole) || whole.count > 0);
    return 0;
}
