/* cluster_message.h - what gateways of a cluster say to each other, byte by byte.
 *
 * A message is a head of fixed size and a payload:
 *
 *   version (1 byte, 1)   kind (1 byte, 'Q' or 'A')   the sender's tag (8)   number (8)   floor (8)   payload
 *
 * Numbers count the requests of one sender to one receiver, from 1; an answer has the number of its request. The floor
 * of a request is the lowest number that its sender still waits for: what is below it was answered, or given up.
 * Payloads and records are rows of fields, each with its length (4 bytes) before it. Numbers are big-endian.
 *
 * All of it comes back from a server that others may write to, so nothing is believed before it was looked at.
 */
#pragma once
#include "gateway/base/buf.h"

#define CLUSTER_TAG_SIZE 8 /* hexadecimal digits */

enum cluster_kind { CLUSTER_REQUEST = 'Q', CLUSTER_ANSWER = 'A' };
struct cluster_message {
    enum cluster_kind kind;
    char sender[CLUSTER_TAG_SIZE];
    uint64_t number, floor;
    struct slice payload; /* within what was read */
};
void cluster_message_write(struct buf *out, const struct cluster_message *m);
/* False for what is no message of this version. */
bool cluster_message_read(struct slice bytes, struct cluster_message *m);
bool cluster_tag_is_good(struct slice tag);

void cluster_field_write(struct buf *out, struct slice field); /* an absent one is written as empty */
void cluster_field_write_number(struct buf *out, uint64_t number);
/* The next field of *rest; false when there is no whole one. */
bool cluster_field_read(struct slice *rest, struct slice *field);
bool cluster_field_read_number(struct slice *rest, uint64_t *number);
