/* queue_match.h - which messages an action of `execgate queue` is for: --id, --reason and --where, all of which must
 * fit; of several --id or --reason one. */
#pragma once
#include "gateway/blueprint/model.h"
#include "gateway/command/options.h"
#include "gateway/queue/store.h"

#define QUEUE_MATCH_OPTIONS                                                                                            \
    {"id", 0, "ID", "Only this message; may be repeated"},                                                             \
        {"reason", 0, "TEXT", "Only messages that died for this reason; may be repeated"}, {                           \
        "where", 'w', "PATH=VALUE", "Only messages whose JSON body has this value: a filter as in the blueprint"       \
    }

struct queue_match {
    const struct arguments *arguments;
    struct filter_config *filters;
    struct queue_trigger_config where;
    bool any; /* nothing was asked for: every message fits */
};
int queue_match_read(struct queue_match *m, const struct arguments *a, struct error *e) MUST_CHECK;
bool queue_match_fits(const struct queue_match *m, const struct queue_message *message);
void queue_match_free(struct queue_match *m);
