/* Does what the command line says. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "arguments.h"
#include "bridge.h"
#include "frames.h"

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
    struct launch launch;
    fill_standard_descriptors();
    enum command command = arguments_read(count, arguments, &launch);
    if (command == COMMAND_WRONG)
        return bridge_fail(REFUSED_START, "usage: " USAGE);
    if (command == COMMAND_VERSION)
        return printf("%d\n", PROTOCOL_VERSION) < 0;
    return bridge(arguments[2], command == COMMAND_START ? &launch : NULL);
}
