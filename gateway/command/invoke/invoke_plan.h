/* invoke_plan.h - what `execgate invoke` is to do, read from its command line once and for all. */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/command/invoke/request_text.h"

#define INVOKE_MOST 10000000 /* invocations of one --repeat: their times are kept */
#define INVOKE_MOST_PARALLEL 10000

enum invoke_printing {
    PRINT_ANSWER,       /* the body on stdout, of a request its head on stderr */
    PRINT_ANSWER_WHOLE, /* -i: the head on stdout too */
    PRINT_JSON,
};

struct invoke_plan {
    const char *handler;
    enum handler_mode mode;
    enum trigger_kind kind;    /* TRIGGER_HTTP with --http, TRIGGER_SCHEDULE with --schedule, TRIGGER_WEBSOCKET with
                                  --websocket, else TRIGGER_INVOKE */
    const char *schedule_name; /* of --schedule */
    const struct schedule_config *schedule;           /* the handler's of that name */
    const char *websocket_name;                       /* of --websocket */
    const struct websocket_trigger_config *websocket; /* the handler's of that route */
    struct request_text request;
    struct buf event;
    struct buf context; /* of the client; JSON on one line */
    struct buf claims;
    uint64_t timeout_ms; /* 0 = the handler's or the route's */
    uint64_t repeat, parallel;
    bool repeats; /* a summary is wanted instead of the answers */
    bool debug;
    bool fails_on_status; /* --fail */
    enum invoke_printing printing;
};

int invoke_plan_read(struct invoke_plan *p, const struct arguments *a, struct error *e) MUST_CHECK;
/* Finds what the plan wants of its handler. */
int invoke_plan_resolve(struct invoke_plan *p, const struct handler_config *handler, struct error *e) MUST_CHECK;
void invoke_plan_free(struct invoke_plan *p);
