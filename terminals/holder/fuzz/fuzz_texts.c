/* What is read as text: an exit record and a line of /proc/PID/stat. Both parsers get each input. */
#include "fuzz.h"
#include "process.h"
#include "state.h"

#include <string.h>

#define TEXT_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];
    if (size >= TEXT_MAX)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    struct process process = {0};
    if (process_parse(text, &process))
        MUST(strlen(process.command) < COMMAND_SIZE && process.state != 0);
    struct exit_record record, again;
    if (exit_record_parse(text, &record)) {
        char printed[RECORD_SIZE];
        size_t n = exit_record_print(&record, printed);
        MUST(n < RECORD_SIZE && exit_record_parse(printed, &again));
        MUST(memcmp(record.birth, again.birth, BIRTH_SIZE) == 0 && record.code == again.code);
        MUST(record.offset == again.offset && record.time == again.time);
    }
    return 0;
}
