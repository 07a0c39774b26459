/* queue_command.h - the actions of `execgate queue`, each a command of its own in a file of its own. */
#pragma once
#include "gateway/command/options.h"

extern const struct command command_queue_list, command_queue_peek, command_queue_send, command_queue_purge,
    command_queue_redrive, command_queue_export, command_queue_import, command_queue_pause, command_queue_resume;
