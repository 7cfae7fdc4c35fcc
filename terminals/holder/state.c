#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME_SIZE (ID_MAX + 8)
#define BIRTH_CHARACTERS ((size_t)2 * BIRTH_SIZE)

static bool id_is_valid(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n >= 1 && n <= ID_MAX && id[n] == 0;
}

bool state_open(struct state *state, const char *id, char *why, size_t why_size)
{
    const char *path = getenv("EDUCENTER_HOLDER_DIR");
    if (!path || !*path)
        path = STATE_DIRECTORY;
    if (!id_is_valid(id)) {
        snprintf(why, why_size, "an ID is 1 to %d of a-z, 0-9 and -", ID_MAX);
        return false;
    }
    snprintf(state->id, sizeof state->id, "%s", id);
    struct stat found;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        state->directory = -1;
    else
        state->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (state->directory < 0 || fstat(state->directory, &found) < 0) {
        snprintf(why, why_size, "could not open %.200s: %s", path, strerror(errno));
        return false;
    }
    /* Who could write here could put a socket of his own in the holder's place. */
    if (found.st_uid != geteuid() || (found.st_mode & 077) != 0) {
        snprintf(why, why_size, "%.200s belongs to somebody else or is open to others", path);
        return false;
    }
    return true;
}

static const char *name(const struct state *state, const char *what, char text[NAME_SIZE])
{
    snprintf(text, NAME_SIZE, "%s%s", state->id, what);
    return text;
}

int state_lock(const struct state *state)
{
    char file[NAME_SIZE];
    int fd = openat(state->directory, name(state, ".lock", file), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int locked;
    do
        locked = flock(fd, LOCK_EX);
    while (locked < 0 && errno == EINTR);
    if (locked == 0)
        return fd;
    close(fd);
    return -1;
}

/* From inside of the directory: an address holds 107 characters, a path may be longer. */
static int open_socket(const struct state *state, struct sockaddr_un *address)
{
    char file[NAME_SIZE];
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s", name(state, ".sock", file));
    if (fchdir(state->directory) < 0)
        return -1;
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int state_connect(const struct state *state)
{
    struct sockaddr_un address;
    int fd = open_socket(state, &address);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int state_listen(const struct state *state)
{
    struct sockaddr_un address;
    int fd = open_socket(state, &address);
    if (fd < 0)
        return -1;
    unlink(address.sun_path);
    bool listens = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0 &&
                   fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
    if (chdir("/") == 0 && listens)
        return fd;
    close(fd);
    return -1;
}

void state_unlink_socket(const struct state *state)
{
    char file[NAME_SIZE];
    unlinkat(state->directory, name(state, ".sock", file), 0);
}

/* Digits only: sscanf() alone would take blanks and signs, too. */
bool exit_record_parse(const char *text, struct exit_record *record)
{
    if (strspn(text, "0123456789abcdef") != BIRTH_CHARACTERS)
        return false;
    for (size_t i = 0; i < BIRTH_SIZE; i++)
        if (sscanf(text + 2 * i, "%2" SCNx8, &record->birth[i]) != 1)
            return false;
    return sscanf(text + BIRTH_CHARACTERS, " %" SCNd32 " %" SCNu64 " %" SCNu64, &record->code, &record->offset, &record->time) == 3;
}

size_t exit_record_print(const struct exit_record *record, char text[RECORD_SIZE])
{
    size_t n = 0;
    for (size_t i = 0; i < BIRTH_SIZE; i++)
        n += (size_t)snprintf(text + n, RECORD_SIZE - n, "%02x", record->birth[i]);
    return n + (size_t)snprintf(text + n, RECORD_SIZE - n, " %" PRId32 " %" PRIu64 " %" PRIu64 "\n", record->code,
                                record->offset, record->time);
}

bool state_read_exit(const struct state *state, struct exit_record *record)
{
    char file[NAME_SIZE], text[RECORD_SIZE];
    int fd = openat(state->directory, name(state, ".exit", file), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n < 0)
        return false;
    text[n] = 0;
    return exit_record_parse(text, record);
}

bool state_write_exit(const struct state *state, const struct exit_record *record)
{
    char file[NAME_SIZE], draft[NAME_SIZE], text[RECORD_SIZE];
    size_t n = exit_record_print(record, text);
    int fd = openat(state->directory, name(state, ".new", draft), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool written = write(fd, text, n) == (ssize_t)n;
    written = close(fd) == 0 && written;
    return written && renameat(state->directory, draft, state->directory, name(state, ".exit", file)) == 0;
}
