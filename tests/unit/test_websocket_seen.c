/* Which messages have been handled before (websocket_seen.h), and when one is sent again (websocket_delivery.h). */
#include "gateway/source/websocket/websocket_delivery.h"
#include "gateway/source/websocket/websocket_seen.h"
#include "tests/unit/test.h"
