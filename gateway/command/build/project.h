/* project.h - a new folder with a handler in it.
 *
 * project_write makes the folder, which must not be there yet or be empty, and writes the files of one language into
 * it; nothing that exists is ever overwritten. Templates have placeholders: @NAME@, @EXECGATE@ (how the binary is
 * called), @LANGUAGE@, @SOURCE@, @NOTE@. What fails midway is left for the person to look at.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/command/build/language.h"

struct project {
    const struct language *language;
    const char *name;
    const char *directory;
    const char *execgate;
    /* Fills these: */
    char **files; /* below the directory, in order */
    size_t file_count;
};

int project_write(struct project *p, struct error *e) MUST_CHECK;
void project_free(struct project *p);
