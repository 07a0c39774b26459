/* sqlite_fault.h - SQLite's system calls made to fail, for one test program.
 *
 * Writes and truncations go through SQLite's own table of system calls; for syncs the program's fsync and fdatasync
 * take the place of the C library's. Faults come on the store's other thread: hence the atomics.
 */
#pragma once
#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum fault_call { FAULT_WRITE, FAULT_SYNC, FAULT_CALLS };
struct fault {
    enum fault_call call;
    int errnum;
    unsigned at;   /* the first call that fails, from 1 */
    unsigned more; /* how many after it */
};
static struct fault fault_armed;
static atomic_uint fault_seen;
static atomic_uint fault_failed;

static int fault_now(enum fault_call call) {
    if (fault_armed.at == 0 || fault_armed.call != call) return 0;
    unsigned n = atomic_fetch_add(&fault_seen, 1) + 1;
    if (n < fault_armed.at || n > fault_armed.at + fault_armed.more) return 0;
    atomic_fetch_add(&fault_failed, 1);
    errno = fault_armed.errnum;
    return 1;
}

static ssize_t fault_pwrite(int fd, const void *p, size_t n, off_t at) {
    return fault_now(FAULT_WRITE) ? -1 : pwrite(fd, p, n, at);
}

int fsync(int fd);
int fsync(int fd) {
    return fault_now(FAULT_SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}
int fdatasync(int fd);
int fdatasync(int fd) {
    return fault_now(FAULT_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* While no call of the store is under way. */
static void fault_arm(const struct fault *fault) {
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)fault_pwrite);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)fault_pwrite);
    atomic_store(&fault_seen, 0);
    atomic_store(&fault_failed, 0);
    fault_armed = *fault;
}

/* Returns how many calls failed. */
static unsigned fault_disarm(void) {
    fault_armed.at = 0;
    return atomic_load(&fault_failed);
}

/* A disk of another size: statvfs too is the program's own. */
struct fault_disk {
    uint64_t size, free;
};
static struct fault_disk fault_disk; /* size 0 = the real one */

int statvfs(const char *path, struct statvfs *st) {
    struct statfs real;
    if (statfs(path, &real) != 0) return -1;
    uint64_t block = (uint64_t)real.f_bsize;
    *st = (struct statvfs){.f_frsize = block, .f_blocks = real.f_blocks, .f_bavail = real.f_bavail};
    if (fault_disk.size == 0) return 0;
    st->f_blocks = fault_disk.size / block;
    st->f_bavail = fault_disk.free / block;
    return 0;
}
