/* message.h - what every store does alike with messages: ids, bounds, attributes as bytes.
 *
 * Ids are UUIDs of version 7 (RFC 9562 5.7), so they sort by the time of the send. Attributes are packed one after the
 * other: type (1 byte), length of the name (4, little endian), of the value (4), name, value.
 */
#pragma once
#include "gateway/base/buf.h"
#include "gateway/queue/store.h"

void queue_id_make(struct clock *clock, char id[UUID_TEXT_SIZE + 1]);
/* What a message's size is: its body and its attributes' names and values. */
size_t queue_send_size(const struct queue_send *send);
/* 0, or why a store must refuse it. `size_limit` 0 = QUEUE_MESSAGE_SIZE_DEFAULT. */
int queue_send_check(const struct queue_send *send, uint32_t size_limit, struct error *e) MUST_CHECK;
/* Names of queues: not empty, not too long. */
int queue_name_check(struct slice name, struct error *e) MUST_CHECK;
int queue_key_check(struct slice key, const char *what, struct error *e) MUST_CHECK;
/* The bounds of QUEUE_PAGE_MAX and QUEUE_DELAY_MS_MAX. */
int queue_page_check(size_t count, struct error *e) MUST_CHECK;
int queue_delay_check(uint64_t ms, struct error *e) MUST_CHECK;

void queue_attributes_pack(const struct queue_attribute *attributes, size_t count, struct buf *out);
/* Slices of `bytes`, in an array in the arena. */
int queue_attributes_unpack(struct slice bytes, struct queue_message *m, struct arena *a, struct error *e) MUST_CHECK;
/* A deep copy of what a send points to. */
void queue_send_copy(struct queue_send *copy, const struct queue_send *send, struct arena *a);
