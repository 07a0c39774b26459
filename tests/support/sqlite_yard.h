/* sqlite_yard.h - SQLite queue files for tests, in a temporary folder that goes away. */
#pragma once
#include "gateway/queue/sqlite_store.h"
#include "tests/support/queue_desk.h"
#include <unistd.h>

struct sqlite_yard {
    struct yard yard;
    char folder[64];
    char path[96];
};

static inline struct queue_store *sqlite_yard_open(struct yard *y, struct loop *loop, struct error *e) {
    return sqlite_store_open(loop, container_of(y, struct sqlite_yard, yard)->path, e);
}

static inline void sqlite_yard_clear(struct yard *y) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    struct sqlite_yard *s = container_of(y, struct sqlite_yard, yard);
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", s->path, endings[i]);
        unlink(path);
    }
}

/* In a folder that is there. */
static inline void sqlite_yard_at(struct sqlite_yard *s, const char *folder) {
    *s = (struct sqlite_yard){.yard = {sqlite_yard_open, sqlite_yard_clear}};
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    snprintf(s->path, sizeof s->path, "%s/queues.db", folder);
}

static inline void sqlite_yard_init(struct sqlite_yard *s) {
    char folder[] = "/tmp/execgate-queue-XXXXXX";
    assert_non_null(mkdtemp(folder));
    sqlite_yard_at(s, folder);
}

static inline void sqlite_yard_end(struct sqlite_yard *s) {
    sqlite_yard_clear(&s->yard);
    rmdir(s->folder);
}
