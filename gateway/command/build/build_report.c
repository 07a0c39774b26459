#include "gateway/command/build/build_report.h"
#include <stdio.h>

void build_report_begin(struct log *log, const struct handler_config *h) {
    log_event(log, LOG_INFO, "building", LOG_TEXT("handler", h->name));
}

void build_report_unstarted(struct log *log, const struct handler_config *h, const struct error *e) {
    log_event(log, LOG_ERROR, "build failed", LOG_TEXT("handler", h->name), LOG_TEXT("why", e->message));
}

void build_report_end(struct log *log, const struct handler_config *h, const struct build_result *r) {
    bool json = log_format_of(log) == LOG_FORMAT_JSON;
    if (r->succeeded) {
        log_event(log, LOG_INFO, "built", LOG_TEXT("handler", h->name), LOG_US("duration_ms", r->took_ms * 1000));
        return;
    }
    log_event(log, LOG_ERROR, "build failed", LOG_TEXT("handler", h->name), LOG_TEXT("why", r->how),
              LOG_US("duration_ms", r->took_ms * 1000), LOG_SLICE("output", json ? r->output : SLICE_NONE));
    if (json || r->output.n == 0) return;
    log_flush(log);
    fwrite(r->output.p, 1, r->output.n, stderr);
    if (r->output.p[r->output.n - 1] != '\n') fputc('\n', stderr);
}
