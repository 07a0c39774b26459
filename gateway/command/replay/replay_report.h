/* replay_report.h - tells what came of each record, and of all of them: as text, or as one JSON object. */
#pragma once
#include "gateway/base/json_write.h"
#include "gateway/command/replay/answer_diff.h"
#include "gateway/command/replay/replay_files.h"

enum replay_result {
    REPLAY_SAME,
    REPLAY_DIFFERENT,
    REPLAY_SKIPPED, /* it cannot be sent, or compared, so that it would mean something */
    REPLAY_DAMAGED, /* it is no record */
    REPLAY_RESULTS
};
enum replay_form { REPLAY_AS_TEXT, REPLAY_AS_JSON };

struct replay_report {
    enum replay_form form;
    struct json_write json;
    struct buf out;
    uint64_t counts[REPLAY_RESULTS];
    uint64_t updated;
    uint64_t then_us, now_us; /* of all that were compared */
};
struct replay_finding {
    enum replay_result result;
    const struct replay_line *line;
    const struct record *record;    /* NULL = damaged */
    struct slice why;               /* of SKIPPED and DAMAGED */
    struct slice left_out;          /* what the request was sent without; absent = nothing */
    const struct answer_diff *diff; /* of SAME and DIFFERENT */
    uint64_t now_us;
    bool updated;
};
void replay_report_begin(struct replay_report *r, enum replay_form form);
void replay_report_add(struct replay_report *r, const struct replay_finding *f);
void replay_report_end(struct replay_report *r);
/* An exit_status: EXIT_OK when something was compared, and nothing differs that was not accepted. */
int replay_report_status(const struct replay_report *r);
