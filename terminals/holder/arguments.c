#include "arguments.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool parse_size(const char *text, uint16_t *size)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *size = (uint16_t)value;
    return *text >= '0' && *text <= '9' && *end == 0 && value >= 1 && value <= UINT16_MAX;
}

static bool is_variable(const char *text)
{
    const char *equals = strchr(text, '=');
    return equals && equals > text;
}

static bool parse_options(int count, char **arguments, struct launch *launch)
{
    int option;
    opterr = 0;
    while ((option = getopt(count, arguments, "+u:s:d:e:")) != -1)
        if (option == 'u')
            launch->user = optarg;
        else if (option == 's')
            launch->shell = optarg;
        else if (option == 'd')
            launch->directory = optarg;
        else if (option == 'e' && is_variable(optarg) && launch->variables < LAUNCH_VARIABLES)
            launch->variable[launch->variables++] = optarg;
        else
            return false;
    return optind == count;
}

enum command arguments_read(int count, char **arguments, struct launch *launch)
{
    *launch = (struct launch){0};
    if (count == 2 && strcmp(arguments[1], "version") == 0)
        return COMMAND_VERSION;
    if (count == 3 && strcmp(arguments[1], "attach") == 0)
        return COMMAND_ATTACH;
    /* getopt() takes ROWS for the program's name and goes on behind it. */
    if (count >= 5 && strcmp(arguments[1], "start") == 0 && parse_size(arguments[3], &launch->cols) &&
        parse_size(arguments[4], &launch->rows) && parse_options(count - 4, arguments + 4, launch))
        return COMMAND_START;
    return COMMAND_WRONG;
}
