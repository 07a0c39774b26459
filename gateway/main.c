/* execgate: a gateway that turns plain executables into services. Picks the subcommand; everything else is in its room.
 */
#include "gateway/command/options.h"
#include <fcntl.h>
#include <unistd.h>

/* Whoever starts us without stdin, stdout or stderr must not find their numbers given to something else. */
static bool standard_descriptors_are_open(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= 2);
    return fd >= 0 && close(fd) == 0;
}

int main(int count, char **words) {
    return standard_descriptors_are_open() ? command_main(count - 1, words + 1) : EXIT_SYSTEM;
}
