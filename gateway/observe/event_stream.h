/* event_stream.h - messages of `application/vnd.amazon.eventstream`, which AWS clients read streamed answers in.
 *
 * A message is: total length and length of the headers (32 bits each, network order), the CRC-32 of those eight bytes,
 * the headers, the payload, and the CRC-32 of all before it. A header is its name behind one byte of length, the type
 * 7 (text), and the value behind two bytes of length. Three headers say what a message is: ":message-type" is "event"
 * here, ":event-type" tells which, ":content-type" what the payload is.
 */
#pragma once
#include "gateway/base/chunk.h"

#define EVENT_STREAM_TYPE "application/vnd.amazon.eventstream"

struct event_message {
    struct slice type; /* of the event; up to 255 bytes, like the content type */
    struct slice content_type;
    struct slice payload; /* up to 16 MiB, the format's own bound */
};
/* One message, which the caller holds. */
struct chunk *event_stream_message(const struct event_message *m);
