/* crash.c - goes wrong on demand, to see what execgate makes of it: GET /crash/{how}. */
#define EXECGATE_IMPLEMENTATION
#include "../execgate.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void crash_segv(struct execgate_response *response) {
    (void)response;
    fprintf(stderr, "crash: about to dereference a null pointer\n");
    raise(SIGSEGV);
}

static void crash_abort(struct execgate_response *response) {
    (void)response;
    abort();
}

static void crash_exit(struct execgate_response *response) {
    (void)response;
    fprintf(stderr, "crash: leaving with status 3\n");
    exit(3);
}

static void crash_hang(struct execgate_response *response) {
    (void)response;
    for (;;) pause();
}

/* Deaf to SIGTERM: only SIGKILL ends it. */
static void crash_deaf(struct execgate_response *response) {
    signal(SIGTERM, SIG_IGN);
    crash_hang(response);
}

static void crash_error(struct execgate_response *response) {
    execgate_fail(response, "DatabaseUnreachable", "no answer from db.example after 3 attempts");
}

static void crash_midway(struct execgate_response *response) {
    execgate_add_header(response, "Content-Type", "text/plain");
    execgate_print(response, "the beginning of an answer\n");
    execgate_stream_begin(response);
    exit(4);
}

static void crash_flood(struct execgate_response *response) {
    for (int i = 0; i < 10000; i++) fprintf(stderr, "crash: line %d of too many\n", i);
    execgate_reply(response, 200, "text/plain", "wrote 10000 lines to stderr\n");
}

static void crash_none(struct execgate_response *response) {
    execgate_print(response, "still alive, process %d\n", (int)getpid());
}

static const struct {
    const char *how;
    void (*act)(struct execgate_response *response);
} acts[] = {
    {"segv", crash_segv},     {"abort", crash_abort}, {"exit", crash_exit},
    {"hang", crash_hang},     {"deaf", crash_deaf},   {"error", crash_error},
    {"midway", crash_midway}, {"flood", crash_flood}, {"none", crash_none},
};

static void crash(const struct execgate_request *request, struct execgate_response *response, void *user) {
    const char *how = execgate_parameter(request, "how");
    (void)user;
    for (size_t i = 0; how && i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(acts[i].how, how) != 0) continue;
        acts[i].act(response);
        return;
    }
    execgate_status(response, 404);
    execgate_print(response, "try /crash/ with one of:");
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) execgate_print(response, " %s", acts[i].how);
    execgate_print(response, "\n");
}

int main(void) {
    return execgate_run(crash, NULL) == 0 ? 0 : 1;
}
