/* The time. A file of its own, so that a fuzzer can bring another one. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* ms of CLOCK_MONOTONIC. */
int64_t clock_ms(void);

#endif
