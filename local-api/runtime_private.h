/* runtime_private.h - what the files of the runtime API share; nobody else includes it. */
#pragma once
#include "gateway/base/arena.h"
#include "gateway/source/invoke/invoke_host.h"
#include "local-api/endpoint.h"
#include "local-api/peer_check.h"

struct runtime_api {
    struct loop *loop;
    struct log *log;
    struct http_server *server;
    struct http_canned *accepted;
    struct peer_check *peer_check;
    char *folder; /* of the Unix sockets, 0700 */
    uint64_t next_number;
    uint64_t max_answer;
    struct invoke_host calls; /* no context = there are none */
    struct list attached;     /* endpoints that processes attach to which are not ours */
    struct list spare_calls;  /* used again: the hot path allocates none */
    struct arena scratch;     /* for what does not outlive a callback; reset by whoever filled it */
};
