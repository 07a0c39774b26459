/* compress_policy.h - what `compress:` means, once it has been checked. Immutable, in the blueprint's arena. */
#pragma once
#include "gateway/blueprint/section.h"
#include "plugins/compress/encoder.h"

struct compress_policy {
    struct coding_offer offer;
    uint64_t min_size;
    enum encoder_level level;
    struct slice *types; /* media types; the subtype may be a star, or a star and "+json" */
    size_t type_count;
};
struct compress_settings {
    const struct compress_policy *application; /* NULL = off */
    const struct compress_policy **triggers;   /* by http_trigger_config.number; NULL = off */
    size_t trigger_count;
};

/* True for a Content-Type of one of the policy's types; parameters do not matter. */
bool compress_policy_has_type(const struct compress_policy *p, struct slice content_type);

extern const struct section compress_section; /* makes a struct compress_settings */
