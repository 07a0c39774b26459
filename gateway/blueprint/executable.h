/* executable.h - can this file be started (or read, or entered), and if not, why? Asked before the first request
 * does. */
#pragma once
#include "gateway/blueprint/model.h"

/* The absolute path of a bare name in PATH, or NULL. */
const char *executable_find(struct arena *a, struct slice name);
/* 0, or an error that says what is wrong with the file and what to do. */
int executable_check(const char *path, struct error *e) MUST_CHECK;
int directory_check(const char *path, struct error *e) MUST_CHECK;
/* A regular file that may be read. */
int file_check(const char *path, struct error *e) MUST_CHECK;
