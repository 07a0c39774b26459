#include "gateway/command/queue/queue_match.h"
#include "gateway/base/memory.h"
#include "gateway/source/queue/queue_filter.h"
#include <stdlib.h>

static int add_filter(struct queue_match *m, const char *text, struct error *e) {
    struct slice value = slice_of(text), path;
    slice_next(&value, '=', &path);
    if (slice_is_none(value) || path.n == 0)
        return error_set(e, ERROR_USAGE, "--where takes PATH=VALUE such as customer.region=eu, not \"%s\"", text);
    m->filters = xrealloc(m->filters, (m->where.filter_count + 1) * sizeof *m->filters);
    m->filters[m->where.filter_count++] = (struct filter_config){path, value};
    m->where.filters = m->filters;
    return 0;
}

int queue_match_read(struct queue_match *m, const struct arguments *a, struct error *e) {
    size_t at = 0;
    const char *text;
    *m = (struct queue_match){.arguments = a};
    while ((text = arguments_next(a, "where", &at))) {
        int status = add_filter(m, text, e);
        if (status < 0) return status;
    }
    m->any = m->where.filter_count == 0 && !arguments_has(a, "id") && !arguments_has(a, "reason");
    return 0;
}

/* True when the option was not given, or has the value once. */
static bool names(const struct queue_match *m, const char *option, struct slice value) {
    size_t at = 0;
    const char *text;
    bool given = false;
    while ((text = arguments_next(m->arguments, option, &at))) {
        if (slice_equal(slice_of(text), value)) return true;
        given = true;
    }
    return !given;
}

bool queue_match_fits(const struct queue_match *m, const struct queue_message *message) {
    if (m->any) return true;
    return names(m, "id", slice_of(message->id)) &&
           names(m, "reason", message->death ? message->death->reason : SLICE_NONE) &&
           queue_filter_fits(&m->where, message->body);
}

void queue_match_free(struct queue_match *m) {
    free(m->filters);
}
