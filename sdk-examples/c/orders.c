/* orders.c - a handler of queue messages: handles each for itself and names those that failed, so that only they come
 * again. A message "fail" fails, one "never" is refused for good, one "crash" kills the process. */
#define EXECGATE_IMPLEMENTATION
#include "../execgate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is(const struct execgate_message *message, const char *text) {
    return message->body_size == strlen(text) && memcmp(message->body, text, message->body_size) == 0;
}

static void handle(const struct execgate_message *message) {
    if (is(message, "crash")) abort();
    if (getenv("ORDERS_QUIET")) return;
    if (message->died_in[0])
        printf("a dead letter of %s, %s (%s): ", message->died_in, message->died_why, message->died_error);
    printf("order %s, attempt %lu: %.200s\n", message->id, message->attempt, message->body);
    fflush(stdout);
}

static void orders(const struct execgate_request *request, struct execgate_response *response, void *user) {
    struct execgate_message message = {0};
    (void)user;
    while (execgate_message_next(request, &message)) {
        handle(&message);
        if (is(&message, "fail")) execgate_message_fail(response, message.id);
        if (!is(&message, "never")) continue;
        execgate_fail(response, "NeverAnOrder", "message %s is no order", message.id);
        execgate_retry(response, "false");
        return;
    }
}

int main(void) {
    return execgate_run(orders, NULL) == 0 ? 0 : 1;
}
