/* websocket_delivery.h - messages to clients that are to be acknowledged.
 *
 * A client gets such a message in an envelope, {"messageId": ID, "data": ...}, and answers {"ack": ID}. While it does
 * not, the message is sent again: after the path's resendAfter, then each time after twice as long. After the last
 * resend, and when the connection ends first, it is lost: connections that the sender has named are told
 * ({"event": "lostMessage", ...}), and the log. That time does not pass while nothing is read from the client. What
 * waits is bounded, in number and by maxOutbound; a connection that is sent nothing of the kind has none of this.
 */
#pragma once
#include "gateway/source/websocket/websocket_source.h"

#define DELIVERY_INFORM_MOST 16 /* connections that are told of a loss */
#define DELIVERY_ID_MAX 128     /* bytes of a message's id, in either direction */
#define DELIVERY_WAITING_MOST 256

struct delivery_order {
    struct slice message_id;
    struct slice text;   /* JSON goes into the envelope as it is, any other text as a string */
    struct slice inform; /* ids of connections, by commas; absent = nobody */
};
enum delivery_result {
    DELIVERY_SENT, /* or its id waits for the client already: then it is not sent anew */
    DELIVERY_GONE,
    DELIVERY_OFF, /* the path has no `acknowledge`, or it is no WebSocket */
    DELIVERY_BAD_ID,
    DELIVERY_BAD_TEXT,
    DELIVERY_BAD_INFORM,
    DELIVERY_TOO_MANY,
};
enum delivery_result websocket_deliver(struct member *m, const struct delivery_order *o);
/* An id that may name a message: 1 to DELIVERY_ID_MAX bytes of UTF-8 without control characters. */
bool delivery_id_is_good(struct slice id);
/* How long it is waited for an acknowledgement after so many resends. Pure. */
uint64_t delivery_wait_ms(uint64_t resend_ms, uint64_t resends);
