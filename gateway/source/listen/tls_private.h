/* tls_private.h - what the files of TLS share; nobody else includes it. */
#pragma once
#include "gateway/base/log.h"
#include "gateway/blueprint/model.h"

struct ssl_ctx_st;

/* tls_load.c */
/* Fills *e with `about` and OpenSSL's latest reason, and empties OpenSSL's list of errors. */
int tls_error_set(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The words for OpenSSL's latest error; "unknown" when there is none. */
const char *tls_error_reason(void);
int tls_load_certificate(struct ssl_ctx_st *c, const struct certificate_config *config, struct log *log,
                         struct error *e) MUST_CHECK;
/* Whose client certificates are accepted, and named to clients as such. */
int tls_load_authority(struct ssl_ctx_st *c, const char *path, struct error *e) MUST_CHECK;
