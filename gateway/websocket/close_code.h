/* close_code.h - why a WebSocket connection ends (RFC 6455 7.4). */
#pragma once
#include <stdbool.h>

/* X(NAME, code) */
#define CLOSE_CODES(X)                                                                                                 \
    X(NORMAL, 1000)                                                                                                    \
    X(GOING_AWAY, 1001)                                                                                                \
    X(PROTOCOL, 1002)                                                                                                  \
    X(UNSUPPORTED, 1003)                                                                                               \
    X(NO_STATUS, 1005) /* never sent: the peer's Close said nothing */                                                 \
    X(ABNORMAL, 1006)  /* never sent: the connection ended without a Close */                                          \
    X(BAD_DATA, 1007)                                                                                                  \
    X(POLICY, 1008)                                                                                                    \
    X(TOO_BIG, 1009)                                                                                                   \
    X(INTERNAL, 1011)                                                                                                  \
    X(RESTART, 1012)                                                                                                   \
    X(TRY_LATER, 1013)

enum close_code {
#define X(name, code) CLOSE_##name = code,
    CLOSE_CODES(X)
#undef X
};

/* Whether a Close frame may carry it: those that the IANA registry gives to endpoints, libraries' and applications' own
 * (3000 to 4999), and none of the reserved ones. */
static inline bool close_code_may_be_sent(int code) {
    if (code >= 3000 && code <= 4999) return true;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
