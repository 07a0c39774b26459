#include "gateway/loop/file_watch.h"
#include "gateway/base/memory.h"
#include "gateway/loop/loop_private.h"
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uv.h>

#define LOOK_FOR_MS 250

/* The handle has memory of its own, because it outlives the watch until libuv has closed it. */
struct file_watch {
    struct loop *loop;
    char *folder;
    dev_t device; /* of the folder that is watched */
    ino_t node;
    uv_fs_event_t *handle; /* NULL while the folder is not there */
    struct deadline look;  /* for the folder */
    void (*on_change)(void *context, const char *name);
    void *context;
};

static void on_handle_closed(uv_handle_t *handle) {
    free(handle);
}

static void handle_close(struct file_watch *w) {
    if (w->handle) uv_close((uv_handle_t *)w->handle, on_handle_closed);
    w->handle = NULL;
}

static void look_later(struct file_watch *w) {
    deadline_arm(loop_deadlines(w->loop), &w->look, clock_now_ms(loop_clock(w->loop)) + LOOK_FOR_MS);
}

static bool is_same_folder(const struct file_watch *w) {
    struct stat s;
    return stat(w->folder, &s) == 0 && s.st_dev == w->device && s.st_ino == w->node;
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status) {
    struct file_watch *w = handle->data;
    (void)events;
    if (status < 0 || !is_same_folder(w)) {
        handle_close(w);
        look_later(w);
        name = NULL;
    }
    w->on_change(w->context, name);
}

/* 0, or libuv's error; a folder that is not there is none. */
static int handle_open(struct file_watch *w) {
    struct stat s;
    if (stat(w->folder, &s) != 0 || !S_ISDIR(s.st_mode)) return UV_ENOENT;
    w->device = s.st_dev;
    w->node = s.st_ino;
    w->handle = xcalloc(1, sizeof *w->handle);
    int status = uv_fs_event_init(loop_uv(w->loop), w->handle);
    if (status < 0) {
        free(w->handle);
        w->handle = NULL;
        return status;
    }
    w->handle->data = w;
    status = uv_fs_event_start(w->handle, on_event, w->folder, 0);
    if (status < 0) handle_close(w);
    return status;
}

static void on_look(struct deadline *d) {
    struct file_watch *w = container_of(d, struct file_watch, look);
    if (handle_open(w) == 0)
        w->on_change(w->context, NULL);
    else
        look_later(w);
}

struct file_watch *file_watch_open(struct loop *l, const char *folder,
                                   void (*on_change)(void *context, const char *name), void *context, struct error *e) {
    struct file_watch *w = xcalloc(1, sizeof *w);
    *w = (struct file_watch){.loop = l, .folder = xstrdup(folder), .on_change = on_change, .context = context};
    w->look.on_due = on_look;
    int status = handle_open(w);
    if (status == 0) return w;
    if (status == UV_ENOENT) {
        look_later(w);
        return w;
    }
    error_set(e, ERROR_SYSTEM, "cannot watch %s: %s%s", folder, uv_strerror(status),
              status == UV_ENOSPC ? "; see /proc/sys/fs/inotify/max_user_watches" : "");
    file_watch_close(w);
    return NULL;
}

void file_watch_close(struct file_watch *w) {
    if (!w) return;
    handle_close(w);
    deadline_disarm(loop_deadlines(w->loop), &w->look);
    free(w->folder);
    free(w);
}
