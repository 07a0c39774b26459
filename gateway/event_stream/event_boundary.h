/* event_boundary.h - where a stream of server-sent events stands (WHATWG HTML 9.2.5), byte by byte.
 *
 * Events are lines, ended by CR, LF or CRLF, and a blank line ends an event. Only between two events may somebody else
 * say something: within one it would become a part of it, or end it too early. Pure; zero-initialised is the beginning
 * of a stream, which is between two events.
 */
#pragma once
#include "gateway/base/slice.h"

enum event_place { EVENT_BETWEEN, EVENT_LINE_BEGINS, EVENT_IN_LINE };
struct event_boundary {
    enum event_place place;
    bool after_cr; /* an LF that comes next belongs to it */
};

void event_boundary_feed(struct event_boundary *b, struct slice bytes);
static inline bool event_boundary_is_between(const struct event_boundary *b) {
    return b->place == EVENT_BETWEEN;
}
/* What ends the event that was begun, so that another may follow; empty when none was. */
struct slice event_boundary_ending(const struct event_boundary *b);
