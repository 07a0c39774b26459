/* compress.h - the plugin that compresses answers for clients that want it: gzip, brotli, zstd.
 *
 * Off unless the blueprint has `compress:`, because compression tells an eavesdropper something about what it
 * compresses: an answer that holds a secret and repeats what an attacker made the client send gives the secret away
 * bit by bit through its length, TLS or not (the BREACH attack). Turn it on for what holds no secrets.
 *
 * An answer is encoded when its type is listed, it is large enough, nobody has encoded it already, nobody forbids
 * it (`no-transform`, 206, a digest over its bytes), and the client prefers one of our codings (encoding_choice.h). A
 * small whole body is encoded in one go; a large or streamed one on its way (compress_stream.h). Whatever might have
 * been encoded says `Vary: Accept-Encoding`; an encoded answer has a weak ETag, because its bytes are not those that
 * the handler named (RFC 9110 8.8.3.3), no ranges, and no length but its own.
 */
#pragma once
#include "plugins/plugin.h"

extern const struct plugin compress_plugin;
