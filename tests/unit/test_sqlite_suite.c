/* What every queue store must do, on SQLite. */
#include "gateway/queue/sqlite_store.h"
#include "tests/support/queue_store_suite.h"
#include "tests/support/sqlite_yard.h"

int main(void) {
    struct sqlite_yard yard;
    sqlite_yard_init(&yard);
    int failed = queue_store_suite(&yard.yard);
    sqlite_yard_end(&yard);
    return failed;
}
