#include "gateway/invocation/event_groups.h"
#include "gateway/base/url.h"

void event_groups_each(struct slice list, struct arena *a, void (*on_group)(void *context, struct slice name),
                       void *context) {
    for (struct slice item; slice_next(&list, ',', &item);) {
        item = slice_trim(item);
        if (item.n) on_group(context, url_decode(a, item, URL_PLUS_LITERAL));
    }
}
