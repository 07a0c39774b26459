#include "gateway/command/queue/queue_command.h"
#include "gateway/base/memory.h"

static const struct command *const actions[] = {&command_queue_list,   &command_queue_peek,    &command_queue_send,
                                                &command_queue_purge,  &command_queue_redrive, &command_queue_export,
                                                &command_queue_import, &command_queue_pause,   &command_queue_resume};

const struct command command_queue = {
    .name = "queue",
    .synopsis = "ACTION",
    .summary = "Look into a blueprint's queues, fill them, empty them",
    .details = "Works on the store that the gateway of the blueprint uses, whether it runs or not.",
    .actions = actions,
    .action_count = ARRAY_LEN(actions),
};
