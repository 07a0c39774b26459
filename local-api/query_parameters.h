/* query_parameters.h - a query's parameters, decoded: the names in their order, each with all of its values. */
#pragma once
#include "gateway/base/arena.h"

struct map;
struct query_parameter {
    struct slice name;
    struct slice value;
    struct query_parameter *same; /* the next one of this name */
    struct query_parameter *last; /* of a first one: the last of its name */
    struct query_parameter *next; /* of a first one: the next name */
};

/* A client chooses how many there are, so beyond a few they are found by hash. */
struct query_parameters {
    struct query_parameter *first;
    struct query_parameter *last;
    size_t names;
    struct map *index; /* NULL while they are few */
};

/* In the arena, but for the index. An absent query has none. */
struct query_parameters query_parameters_read(struct arena *a, struct slice query);
void query_parameters_end(struct query_parameters *ps);
