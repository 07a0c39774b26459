/* build_report.h - what a build says in the log, and on a terminal. */
#pragma once
#include "gateway/base/log.h"
#include "gateway/command/build/build_job.h"

void build_report_begin(struct log *log, const struct handler_config *h);
/* It could not be started. */
void build_report_unstarted(struct log *log, const struct handler_config *h, const struct error *e);
/* The output of one that failed stands below its line on a terminal, and is a field of it elsewhere. */
void build_report_end(struct log *log, const struct handler_config *h, const struct build_result *r);
