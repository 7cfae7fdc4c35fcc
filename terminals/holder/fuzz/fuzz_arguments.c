/* The command line: words with a 0 between them. */
#include "arguments.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *words[WORDS_MAX + 1];
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    int count = 0;
    for (size_t at = 0; at <= size && count < WORDS_MAX; at += strlen(text + at) + 1)
        words[count++] = text + at;
    words[count] = NULL;
    struct launch launch;
    optind = 0; /* glibc's getopt() begins anew */
    enum command command = arguments_read(count, words, &launch);
    MUST(launch.variables <= LAUNCH_VARIABLES);
    MUST(command != COMMAND_START || (count >= 5 && launch.cols > 0 && launch.rows > 0));
    for (size_t i = 0; i < launch.variables; i++)
        MUST(strchr(launch.variable[i], '=') > launch.variable[i]);
    free(text);
    return 0;
}
