/* replay_request.h - a record turned back into the request that it was, as far as it can be.
 *
 * What was redacted is left out, and so is what the connection says by itself; where a client's Accept-Encoding had the
 * gateway compress the answer it is left out too, because records hold the answer from before that. A record that
 * cannot be sent so that its answer would mean something says why.
 */
#pragma once
#include "gateway/invocation/failure.h"
#include "gateway/observe/record.h"

enum replay_way { REPLAY_HERE, REPLAY_TO_URL };
struct replay_request {
    struct slice method, target;
    struct fields headers;
    struct slice body;     /* absent = none */
    struct slice left_out; /* "Cookie, query token": the redacted that are missing; absent = nothing is */
};
/* `given` are headers that take the place of recorded ones. Everything is in the arena or the record's. */
void replay_request_make(struct replay_request *q, const struct record *r, enum replay_way way,
                         const struct fields *given, struct arena *a);
/* Why it cannot be sent; absent = it can. */
struct slice replay_request_obstacle(const struct replay_request *q, const struct record *r, enum replay_way way);
/* True for ways to fail that say something about the hour, not about the handler: too many requests, a client that
 * left. */
bool replay_failure_is_of_the_hour(struct slice slug);
