#include "gateway/queue/store.h"

struct arena queue_reply_take(struct queue_reply *reply) {
    struct arena taken = *reply->memory;
    *reply->memory = (struct arena){0};
    return taken;
}
