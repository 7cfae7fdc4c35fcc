/* Who the shell runs as, read from /etc/passwd and /etc/group: getpwnam() of a static glibc would load the image's NSS modules. */
#ifndef USER_H
#define USER_H

#include <stdbool.h>
#include <sys/types.h>

#define USER_GROUPS 256
#define USER_FIELD 256

struct user {
    char name[USER_FIELD], home[USER_FIELD], shell[USER_FIELD];
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[USER_GROUPS];
};

/* `name` NULL: the image's student, else root, who needs no line in /etc/passwd. */
bool user_find(struct user *user, const char *name);

#endif
