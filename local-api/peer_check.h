/* peer_check.h - whose process is at the other end of a local connection.
 *
 * A Unix socket tells by SO_PEERCRED. On TCP the kernel's socket diagnostics (sock_diag(7)) are asked who owns
 * the client's socket; where they are not to be had, /proc/net/tcp is read instead. What cannot be
 * found out counts as somebody else.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct peer_check;
struct peer_check *peer_check_new(void);
void peer_check_free(struct peer_check *p); /* NULL is fine */
/* True when the peer of the accepted socket runs as `user`. Never blocks. */
bool peer_is_user(struct peer_check *p, int fd, uid_t user);

/* The two ways to the owner of a TCP client's socket, apart for tests: false when they do not know. */
bool peer_owner_from_diagnostics(struct peer_check *p, int fd, uid_t *owner);
bool peer_owner_from_proc(int fd, uid_t *owner);
