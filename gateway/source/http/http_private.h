/* http_private.h - what the files of the HTTP server share; nobody else includes it.
 *
 * A connection and the exchange on it are one struct, allocated with the socket and used again for every
 * request: HTTP/1.1 has one exchange at a time, so a request costs no allocation of ours.
 *
 * Two things say where an exchange is. `stage` is how far libmicrohttpd has read, which decides what it
 * lets us do; `place` is the server's list that holds it, which decides what it is waiting for and
 * since when:
 *
 *   stage  NONE -> HEAD -> BODY -> END -> NONE      (no body: HEAD is passed through at once)
 *   place  HEADER, IDLE   the client owes a request
 *          BODY           the client owes more of the body
 *          PARKED         suspended: we owe an answer, or room for more of the body
 *          WATCHED        parked for so long that a watch looks out for the client's leaving
 *          SENDING        the client owes its reading
 *          LINGER         answered by hand; what still comes is thrown away
 *
 * libmicrohttpd 0.9.75 accepts an answer at HEAD, but then closes the connection without
 * reading the body, so that a client still sending sees a reset instead of the answer; between HEAD and END it
 * accepts none. So an answer before END is either kept until the rest of a small body has come,
 * or written by hand and followed by a lingering close (http_by_hand.c).
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/source/http/http_server.h"
#include <microhttpd.h>

enum http_stage { STAGE_NONE, STAGE_HEAD, STAGE_BODY, STAGE_END };
enum http_place {
    PLACE_IDLE,
    PLACE_HEADER,
    PLACE_BODY,
    PLACE_PARKED,
    PLACE_WATCHED,
    PLACE_SENDING,
    PLACE_LINGER,
    PLACES
};

#define TARGET_INLINE 192
/* An answer's head up to here goes through libmicrohttpd's memory; a larger one is written by hand. */
#define REPLY_HEAD_MAX (4 * 1024)

struct lane {
    struct turn_task task;
    struct http_server *server;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    size_t eager;      /* of its exchanges */
    struct list pairs; /* exchanges behind TLS that have something to settle after the run */
};

struct http_exchange {
    struct list_node place_node;
    enum http_place place;
    enum http_stage stage;
    uint64_t since_ms; /* when it came to its place, or made progress there */
    bool looked_at;    /* since then, for an end of its stream */
    struct lane *lane;
    struct list_node pair_node;
    bool untold;       /* the pump does not know of the answer yet */
    bool eager;        /* libmicrohttpd may have something to do for it that nobody tells of */
    uint64_t consumed; /* bytes of the requests that were answered, as far as they can be counted */
    struct MHD_Connection *mhd;
    struct http_server *server;

    bool open;    /* between on_head and on_done */
    bool reading; /* the owner wants (more of) the body */
    bool ended;   /* on_end was called */
    bool replied; /* http_exchange_reply was called: what still comes of the body is thrown away */
    bool queued;  /* libmicrohttpd has the answer */
    bool by_hand; /* the answer went to the socket past libmicrohttpd */
    bool suspended;
    bool in_call; /* inside the access handler: suspending and queueing happen at its end */
    bool broken;  /* nothing more may be sent or heard */

    int64_t content_length;
    struct slice method;
    struct slice target;
    struct slice version;
    const char *raw_target; /* where libmicrohttpd had it; compared only */
    void *user;

    struct MHD_Response *response; /* made, not yet queued */
    bool canned;                   /* it belongs to a struct http_canned */
    unsigned status;
    struct http_upgrade *upgrade; /* waits for the connection; NULL = nobody does, or it was handed over */
    bool leaves;                  /* it is handed over without an answer of libmicrohttpd's */
    struct body *stream;          /* an answer's body that libmicrohttpd pulls from; the consumer's end */
    int outq;                     /* bytes that the kernel still had to send when the sweep looked last */

    struct turn_task hand_task; /* of an answer by hand: more of it can be written */
    struct watch *hand_watch;
    struct buf hand_head; /* of the answer by hand: not yet sent */

    struct http_group *group;
    struct list_node group_node;
    struct watch *watch;
    int fd;
    struct peer peer;
    struct buf target_long;
    char target_inline[TARGET_INLINE];
};

struct http_server {
    struct http_server_config config;
    struct loop *loop;
    struct lane *lanes;
    unsigned next_lane;
    uint64_t now_ms; /* read once per pump and sweep */
    bool draining;
    size_t connections;
    size_t exchanges;
    struct list places[PLACES];
    struct deadline sweep;
    struct deadline look_out;
    struct http_exchange *adding; /* handed to libmicrohttpd just now */
    int nowhere;                  /* a socket that leads nowhere, in the place of those that have left; -1 = none yet */
    struct http_server_counters counters;
};

/* lane.c */
int lane_start(struct lane *lane, struct http_server *s, struct error *e) MUST_CHECK;
void lane_stop(struct lane *lane);
void lane_wake(struct lane *lane);

/* http_server.c */
/* The one function that moves an exchange; each list stays ordered by time. */
void exchange_place(struct http_exchange *x, enum http_place place);
/* Its connection ends with the reply: the server or its group drains. */
bool exchange_is_last(const struct http_exchange *x);
/* Ends both directions of the socket: libmicrohttpd finds the end of file and closes. */
void exchange_break(struct http_exchange *x);
void server_on_connection(void *server, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code);

/* http_exchange.c */
void exchange_suspend(struct http_exchange *x);
void exchange_resume(struct http_exchange *x);
void *exchange_on_target(void *server, const char *target, struct MHD_Connection *c);
enum MHD_Result exchange_on_call(void *server, struct MHD_Connection *c, const char *url, const char *method,
                                 const char *version, const char *upload_data, size_t *upload_size, void **context);
void exchange_on_completed(void *server, struct MHD_Connection *c, void **context,
                           enum MHD_RequestTerminationCode code);

/* http_pair.c */
/* Whether libmicrohttpd may find something to do for the exchange without anybody telling. */
void exchange_stir(struct http_exchange *x);
void exchange_calm(struct http_exchange *x);
void pair_join(struct http_exchange *x);
void pair_leave(struct http_exchange *x);
void pair_note_answer(struct http_exchange *x); /* libmicrohttpd has it */
void pair_note_end(struct http_exchange *x);    /* all of it is in the pair */
/* After libmicrohttpd's run: tells the pumps of answers, and calms those that are idle. */
void pairs_settle(struct lane *lane);

/* http_reply.c */
/* Hands x->response to libmicrohttpd; only at END, suspended or inside the access handler. */
void reply_queue(struct http_exchange *x);
bool status_has_body(int status);
/* At END the answer goes out; before, it waits until the rest of the body has been thrown away. */
void reply_send(struct http_exchange *x);
void response_add_fields(struct MHD_Response *r, const struct fields *fields);
/* Fields that are the server's to set. */
bool field_is_ours(struct slice name);
bool fields_offer_upgrade(const struct fields *fields);
/* Lets go of what an ended exchange still holds of its answer. */
void reply_forget(struct http_exchange *x);

/* http_upgrade.c */
/* The connection did not come to whoever waited for it. */
void upgrade_forget(struct http_exchange *x);
/* At END, suspended or inside the access handler: hands the connection over as it is. */
void exchange_leave(struct http_exchange *x);

/* http_by_hand.c */
/* The head of an answer that lasts as long as the connection, or as its body's known length. */
void by_hand_head(const struct http_exchange *x, const struct http_reply *reply, struct buf *out);
/* Answers before END. */
void reply_by_hand(struct http_exchange *x, const struct http_reply *reply);
void by_hand_forget(struct http_exchange *x);
