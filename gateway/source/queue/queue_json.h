/* queue_json.h - a message of a queue as a JSON object.
 *
 * What may be sent has
 *
 *   {"body": TEXT, "contentType": TEXT, "delay": "30s", "groupId": TEXT, "dedupId": TEXT, "attributes": {NAME: TEXT}}
 *
 * with bodyBase64 instead of body for bytes that are no text. An attribute that is no text is an object:
 * {"type": "number", "value": "7"}, {"type": "binary", "valueBase64": BASE64}.
 *
 * A record, which is what an export writes and an import reads, has in addition what else is known of a message: id,
 * sentMs, delayMs, death, and, which an import passes over, place and how often and when it was received. Any other
 * text that is not UTF-8 has a name with Base64 at its end there too.
 */
#pragma once
#include "gateway/base/json_write.h"
#include "gateway/queue/store.h"

enum queue_json_kind { QUEUE_JSON_SEND = 1, QUEUE_JSON_RECORD = 2 };

/* Fills what the object tells; the rest of `send` stays. `object` must be valid JSON and live as long as the send. */
int queue_json_read(struct queue_send *send, struct slice object, enum queue_json_kind kind, struct arena *a,
                    struct error *e) MUST_CHECK;
/* A record. */
void queue_json_write(struct json_write *w, const struct queue_message *m);
/* Text, or base64 with the name to say so. */
void queue_json_text(struct json_write *w, const char *name, struct slice value);
