/* tls_client.h - what a finished handshake says about the client. */
#pragma once
#include "gateway/source/listen/peer.h"

struct ssl_st;
/* Fills subject and fingerprint from the certificate that the client showed, if any. False when the subject is longer
 * than anyone should have to handle (4096 bytes): cut short it could be mistaken for another. */
bool tls_client_describe(const struct ssl_st *ssl, struct peer_tls *out) __attribute__((warn_unused_result));
