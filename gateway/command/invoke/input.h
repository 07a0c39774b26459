/* input.h - what a command is told to read: a file, or `-` for stdin. */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/base/error.h"

#define INPUT_MAX (256 * 1024 * 1024)

/* Appends all of it, at most INPUT_MAX bytes. `option` is who asked, for the message. */
int input_read(struct buf *out, const char *option, const char *name, struct error *e) MUST_CHECK;
