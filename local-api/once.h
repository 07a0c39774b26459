/* once.h - `mode: once`: a process per event, as CGI/1.1 does it (RFC 3875).
 *
 * The request body goes to stdin, the meta-variables (cgi.h) into the environment, and stdout is the answer
 * (once_answer.h): a CGI document, or the whole output as a plain body. A document's body is streamed as soon as its
 * header block is complete, to a HEAD only measured; its exit status does not count, but a killed process cuts the
 * answer off. Plain output is held until the exit status is known, and a non-zero status is a 502. An answer has ended
 * when both the output and the process have, or when a document has as many bytes as it declared. An event that is no
 * HTTP request (event.h) is answered by plain output, whatever that looks like.
 */
#pragma once
#include "gateway/loop/loop.h"
#include "gateway/pool/transport.h"

struct once_context { /* the pool's transport context */
    struct loop *loop;
    struct log *log;
    uint64_t max_answer; /* bytes of plain output and of a header block */
};
extern const struct transport_ops once_transport;
