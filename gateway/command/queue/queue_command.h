/* queue_command.h - `execgate queue`, as a command of several actions.
 *
 * Each action is a command of its own, with its own options and help, in a file of its own. All of them work at a desk
 * (queue_desk.h), so none knows how a store is found or waited for.
 */
#pragma once
#include "gateway/command/options.h"

extern const struct command command_queue_list, command_queue_peek, command_queue_send, command_queue_purge,
    command_queue_redrive, command_queue_export, command_queue_import, command_queue_pause, command_queue_resume;
