/* Room on the disk: a send must leave what taking messages away needs, or a disk that is full of them stays full. */
#include "gateway/queue/sqlite_private.h"
#include <sys/statvfs.h>

/* What is kept free: the WAL of a transaction, and what the file grows by when the WAL is copied into it. */
#define RESERVE_BYTES (32u << 20)
#define RESERVE_PART 4 /* of a small disk, a quarter */
#define CHECKPOINT_PAGES 4096
#define CHECKPOINT_PAGES_MIN 64
#define CHECKPOINT_PART 8
#define PAGE_BYTES 4096

struct disk {
    uint64_t size, free;
};

/* False for what has no size, such as a tmpfs without a limit. */
static bool disk_look(const struct sqlite_db *db, struct disk *disk) {
    struct statvfs st;
    if (statvfs(db->path, &st) != 0 || st.f_blocks == 0) return false;
    *disk = (struct disk){(uint64_t)st.f_blocks * st.f_frsize, (uint64_t)st.f_bavail * st.f_frsize};
    return true;
}

/* How long the WAL grows before it is copied into the file. */
void sqlite_room_plan(struct sqlite_db *db) {
    struct disk disk;
    uint64_t pages = CHECKPOINT_PAGES;
    if (disk_look(db, &disk) && disk.size / CHECKPOINT_PART / PAGE_BYTES < pages)
        pages = disk.size / CHECKPOINT_PART / PAGE_BYTES;
    sqlite3_wal_autocheckpoint(db->handle, pages > CHECKPOINT_PAGES_MIN ? (int)pages : CHECKPOINT_PAGES_MIN);
}

static uint64_t sends_bytes(struct sqlite_call *const *calls, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        if (calls[i]->kind == &sqlite_send) bytes += calls[i]->size_bytes;
    return bytes;
}

/* Pages within the file that messages have left. */
static uint64_t free_pages_bytes(struct sqlite_db *db) {
    sqlite3_stmt *s = sql_ready(db, SQL_FREE_PAGES);
    uint64_t pages = sql_first(s) == SQLITE_ROW ? sql_column_int(s, 0) : 0;
    sqlite3_reset(s);
    return pages * PAGE_BYTES;
}

bool sqlite_room_for(struct sqlite_db *db, struct sqlite_call *const *calls, size_t count) {
    struct disk disk;
    uint64_t bytes = sends_bytes(calls, count);
    if (bytes == 0 || !disk_look(db, &disk)) return true;
    uint64_t reserve = disk.size / RESERVE_PART < RESERVE_BYTES ? disk.size / RESERVE_PART : RESERVE_BYTES;
    uint64_t needed = reserve + 2 * bytes;
    return disk.free >= needed || disk.free + free_pages_bytes(db) >= needed;
}
