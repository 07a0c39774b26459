/* loop_private.h - what the files of this room share; nobody else includes it. */
#pragma once
#include "gateway/loop/loop.h"

struct uv_loop_s;
struct uv_loop_s *loop_uv(struct loop *l);
