/* attach_notice.h - what a person needs to start a handler's process by hand. */
#pragma once
#include "gateway/base/log.h"
#include "gateway/pool/transport.h"

/* `export` lines for a shell, and the handler's command; never a secret's value. */
void attach_notice_write(struct buf *out, const struct handler_config *h, const struct launch *launch);
/* On the terminal, or as a line of the log where there is none. */
void attach_notice_tell(struct log *log, const struct handler_config *h, const struct launch *launch);
