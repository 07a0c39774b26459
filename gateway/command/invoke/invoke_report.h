/* invoke_report.h - tells a person, or a program, what came of an invocation by hand. */
#pragma once
#include "gateway/command/invoke/invoke_plan.h"

/* Status and headers of an answer to a request, as curl shows them. */
void invoke_report_head(const struct invoke_plan *p, const struct invoke_answer *a);
/* On stderr, what went wrong and what to do about it; nothing for an answer. */
void invoke_report_failure(const struct invoke_plan *p, const struct invoke_answer *a);
/* One object on stdout. */
void invoke_report_json(const struct invoke_plan *p, const struct invoke_answer *a);
/* An exit_status. */
int invoke_exit_status(const struct invoke_plan *p, const struct invoke_answer *a);

struct invoke_tally {   /* of a --repeat */
    uint64_t *times_us; /* of each that has ended */
    uint64_t count;
    uint64_t errors[FAILURE_COUNT];
    uint64_t bad_statuses; /* with --fail */
    uint64_t elapsed_us;
};
/* On stdout. Sorts the times. */
void invoke_report_tally(const struct invoke_plan *p, struct invoke_tally *t);
