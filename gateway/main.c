/* execgate: a gateway that turns plain executables into services. Picks the subcommand; everything else is in its room.
 */
#include "gateway/command/options.h"

int main(int count, char **words) {
    return command_main(count - 1, words + 1);
}
