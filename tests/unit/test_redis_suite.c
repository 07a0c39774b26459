/* What every queue store must do, on Redis. */
#include "tests/support/queue_store_suite.h"
#include "tests/support/redis_yard.h"

int main(void) {
    struct redis_yard yard;
    redis_yard_init(&yard);
    int failed = queue_store_suite(&yard.yard);
    redis_yard_end(&yard);
    return failed;
}
