#include "local-api/peer_check.h"
#include "gateway/base/memory.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer_check {
    int netlink; /* -1 = not available */
};

struct peer_check *peer_check_new(void) {
    struct peer_check *p = xcalloc(1, sizeof *p);
    p->netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    return p;
}

void peer_check_free(struct peer_check *p) {
    if (!p) return;
    if (p->netlink >= 0) close(p->netlink);
    free(p);
}

/* Both ends of an accepted IPv4 connection. */
static bool ends_of(int fd, struct sockaddr_in *client, struct sockaddr_in *here) {
    socklen_t client_size = sizeof *client, here_size = sizeof *here;
    if (getpeername(fd, (struct sockaddr *)client, &client_size) < 0) return false;
    if (getsockname(fd, (struct sockaddr *)here, &here_size) < 0) return false;
    return client->sin_family == AF_INET && here->sin_family == AF_INET;
}

struct diagnostics_request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

static bool ask_diagnostics(int netlink, const struct sockaddr_in *client, const struct sockaddr_in *here) {
    struct diagnostics_request ask = {
        .header = {.nlmsg_len = sizeof ask, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u},
    };
    /* From the client's side: its own address comes first. */
    ask.body.id.idiag_sport = client->sin_port;
    ask.body.id.idiag_dport = here->sin_port;
    ask.body.id.idiag_src[0] = client->sin_addr.s_addr;
    ask.body.id.idiag_dst[0] = here->sin_addr.s_addr;
    ask.body.id.idiag_cookie[0] = ask.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return send(netlink, &ask, sizeof ask, 0) == (ssize_t)sizeof ask;
}

bool peer_owner_from_diagnostics(struct peer_check *p, int fd, uid_t *owner) {
    struct sockaddr_in client = {0}, here = {0};
    _Alignas(struct nlmsghdr) char answer[1024];
    if (p->netlink < 0 || !ends_of(fd, &client, &here) || !ask_diagnostics(p->netlink, &client, &here)) return false;
    /* The kernel answers within the send. */
    ssize_t n = recv(p->netlink, answer, sizeof answer, MSG_DONTWAIT);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg))) return false;
    const struct nlmsghdr *header = (const void *)answer;
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return false;
    const struct inet_diag_msg *found = NLMSG_DATA(header);
    if (found->id.idiag_sport != client.sin_port || found->id.idiag_dport != here.sin_port) return false;
    *owner = found->idiag_uid;
    return true;
}

/* An address as these tables spell it: an IPv4 one is the last eight digits of a mapped IPv6 one. */
static bool proc_end_is(const char *text, const struct sockaddr_in *end) {
    char expected[16];
    const char *colon = strchr(text, ':');
    if (!colon || colon - text < 8) return false;
    snprintf(expected, sizeof expected, "%08X:%04X", (unsigned)end->sin_addr.s_addr, (unsigned)ntohs(end->sin_port));
    return strcmp(colon - 8, expected) == 0;
}

/* Columns of a row (proc_pid_net(5)). */
enum proc_column { PROC_LOCAL = 1, PROC_REMOTE = 2, PROC_USER = 7, PROC_COLUMNS };

static bool proc_row_is(char *row, const struct sockaddr_in *client, const struct sockaddr_in *here, uid_t *owner) {
    char *columns[PROC_COLUMNS];
    char *rest = row;
    for (int i = 0; i < PROC_COLUMNS; i++) {
        columns[i] = strtok_r(rest, " \n", &rest);
        if (!columns[i]) return false;
    }
    if (!proc_end_is(columns[PROC_LOCAL], client) || !proc_end_is(columns[PROC_REMOTE], here)) return false;
    *owner = (uid_t)strtoul(columns[PROC_USER], NULL, 10);
    return true;
}

static bool proc_table_find(const char *path, const struct sockaddr_in *client, const struct sockaddr_in *here,
                            uid_t *owner) {
    char row[512];
    bool found = false;
    FILE *table = fopen(path, "re");
    if (!table) return false;
    while (!found && fgets(row, sizeof row, table)) found = proc_row_is(row, client, here, owner);
    fclose(table);
    return found;
}

bool peer_owner_from_proc(int fd, uid_t *owner) {
    struct sockaddr_in client = {0}, here = {0};
    if (!ends_of(fd, &client, &here)) return false;
    return proc_table_find("/proc/net/tcp", &client, &here, owner) ||
           proc_table_find("/proc/net/tcp6", &client, &here, owner);
}

static int family_of(int fd) {
    int family = AF_UNSPEC;
    socklen_t size = sizeof family;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0 ? AF_UNSPEC : family;
}

static bool owner_from_credentials(int fd, uid_t *owner) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return false;
    *owner = credentials.uid;
    return true;
}

bool peer_is_user(struct peer_check *p, int fd, uid_t user) {
    uid_t owner;
    bool known = family_of(fd) == AF_UNIX
                     ? owner_from_credentials(fd, &owner)
                     : peer_owner_from_diagnostics(p, fd, &owner) || peer_owner_from_proc(fd, &owner);
    return known && owner == user;
}
