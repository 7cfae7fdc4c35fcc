/* What all fuzz targets share. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold; libFuzzer keeps the input that shows otherwise. */
#define MUST(condition) ((condition) ? (void)0 : __builtin_trap())

#endif
