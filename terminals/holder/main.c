/* The holder's command line (docs/protocol.md, "The holder's frames"). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge.h"
#include "frames.h"

#define USAGE                                                                     \
    "holder start ID COLS ROWS [-u USER] [-s SHELL] [-d DIR] [-e NAME=VALUE]... " \
    "| holder attach ID | holder version"

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

static bool parse_start(int count, char **arguments, struct launch *launch)
{
    /* getopt() takes ROWS for the program's name and goes on behind it. */
    return count >= 5 && parse_size(arguments[3], &launch->cols) && parse_size(arguments[4], &launch->rows) &&
           parse_options(count - 4, arguments + 4, launch);
}

/* Who started us without stdin, stdout or stderr would get our own descriptors in their place. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    if (fd >= 0)
        close(fd);
}

int main(int count, char **arguments)
{
    struct launch launch = {0};
    fill_standard_descriptors();
    if (count == 2 && strcmp(arguments[1], "version") == 0)
        return printf("%d\n", PROTOCOL_VERSION) < 0;
    if (count == 3 && strcmp(arguments[1], "attach") == 0)
        return bridge(arguments[2], NULL);
    if (count > 1 && strcmp(arguments[1], "start") == 0 && parse_start(count, arguments, &launch))
        return bridge(arguments[2], &launch);
    return bridge_fail(REFUSED_START, "usage: " USAGE);
}
