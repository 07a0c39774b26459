/* language.h - what `execgate new` knows of each language, a row each. */
#pragma once
#include "gateway/base/error.h"
#include "gateway/base/slice.h"

#define LANGUAGE_MOUNTS 5

/* Embedded files of one folder, and the folder of the project that they go to: "" or with a slash at its end. */
struct language_mount {
    const char *from;
    const char *to;
};

struct language {
    const char *name;    /* --lang */
    const char *title;   /* as people write it */
    const char *source;  /* the file to edit */
    const char *tool;    /* the program without which nothing runs */
    const char *package; /* Debian's package of it */
    const char *note;    /* of the README */
    struct language_mount mounts[LANGUAGE_MOUNTS];
    const char *const *reserved; /* names that it cannot have; ends in NULL; NULL = none */
};

/* NULL and an error that lists all, or names the nearest. */
const struct language *language_find(const char *name, struct error *e);
/* 0, or why no project of that name is possible. */
int language_check_name(const struct language *l, const char *name, struct error *e) MUST_CHECK;
