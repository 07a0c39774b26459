#include "gateway/redis/redis_link.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 1000
#define SILENCE_TICKS 10
#define SUBSCRIBE_TICKS 3
#define REST_MIN_MS 100
#define REST_MAX_MS 10000
#define REST_DOUBLINGS 7
/* Of what waits to be written: hiredis moves it with every write. */
#define OUTGOING_MAX (1u << 20)
#define ADDRESSES_MAX 8

enum link_phase { LINK_RESTING, LINK_RESOLVING, LINK_CONNECTING, LINK_OPEN };

struct redis_link {
    struct loop *loop;
    const struct redis_address *address;
    struct redis_link_owner owner;
    enum link_phase phase;
    redisAsyncContext *context;               /* NULL while resting and resolving */
    redisReplyObjectFunctions plain, checked; /* how its replies are made: hiredis' own way, and ours */
    struct watch *watch;
    unsigned wanted;   /* by hiredis, of the watch */
    unsigned happened; /* since `events` ran */
    bool outgoing;     /* hiredis wants to write, at the end of the turn */
    bool was_full;
    struct turn_task events;
    struct turn_task flush;
    struct turn_task down;
    struct deadline tick;
    struct deadline rest;
    unsigned silent_ticks;
    unsigned failures; /* in a row */
    size_t under_way;
    struct redis_wait greeting;
    struct redis_wait *ear; /* NULL = nothing is subscribed to */
    char *channel;
    unsigned ticks;
    char why[192];
    struct resolution *resolution;
};

static void link_begin(struct redis_link *l);

static void why_set(struct redis_link *l, const char *why) {
    snprintf(l->why, sizeof l->why, "%s", why);
}

/* --- hiredis' wishes; it calls these from within its own functions --- */

static void interest_set(struct redis_link *l, unsigned add, unsigned take) {
    unsigned wanted = (l->wanted | add) & ~take;
    if (wanted == l->wanted) return;
    l->wanted = wanted;
    watch_set(l->watch, wanted);
}

static void on_add_read(void *context) {
    interest_set(context, WATCH_READ, 0);
}

static void on_del_read(void *context) {
    interest_set(context, 0, WATCH_READ);
}

/* Once connected, all that one turn has to say is written at its end; the watch is for what does not fit. */
static void on_add_write(void *context) {
    struct redis_link *l = context;
    l->outgoing = true;
    if (l->phase != LINK_OPEN)
        interest_set(l, WATCH_WRITE, 0);
    else if (!(l->wanted & WATCH_WRITE))
        turn_add(loop_turn(l->loop), &l->flush);
}

static void on_del_write(void *context) {
    struct redis_link *l = context;
    l->outgoing = false;
    interest_set(l, 0, WATCH_WRITE);
}

/* Whatever the reason, this is hiredis' last word before it frees the connection. */
static void on_cleanup(void *context) {
    struct redis_link *l = context;
    if (!l->why[0]) why_set(l, l->context->errstr && l->context->errstr[0] ? l->context->errstr : "disconnected");
    watch_close(l->watch);
    l->watch = NULL;
    l->context = NULL;
    l->wanted = l->happened = 0;
    l->outgoing = l->was_full = false;
    l->ear = NULL;
    turn_remove(&l->events);
    turn_remove(&l->flush);
    turn_add(loop_turn(l->loop), &l->down);
}

/* --- what happens on the connection --- */

static void on_watch(void *context, unsigned happened) {
    struct redis_link *l = context;
    l->happened |= happened;
    turn_add(loop_turn(l->loop), &l->events);
}

static bool outgoing_is_full(const struct redis_link *l) {
    return sdslen(l->context->c.obuf) > OUTGOING_MAX;
}

static void room_tell(struct redis_link *l) {
    if (!l->was_full || outgoing_is_full(l)) return;
    l->was_full = false;
    l->owner.on_room(l->owner.context);
}

static void link_write(struct redis_link *l) {
    redisAsyncHandleWrite(l->context);
    if (!l->context) return;
    if (l->phase == LINK_OPEN && l->outgoing) interest_set(l, WATCH_WRITE, 0);
    room_tell(l);
}

static void on_events(struct turn_task *task) {
    struct redis_link *l = container_of(task, struct redis_link, events);
    unsigned happened = l->happened;
    l->happened = 0;
    l->silent_ticks = 0;
    if (happened & WATCH_READ) redisAsyncHandleRead(l->context);
    if (l->context && happened & WATCH_WRITE) link_write(l);
}

static void on_flush(struct turn_task *task) {
    struct redis_link *l = container_of(task, struct redis_link, flush);
    if (l->outgoing) link_write(l);
}

static void on_reply(redisAsyncContext *context, void *reply, void *wait) {
    struct redis_link *l = context->data;
    struct redis_wait *w = wait;
    l->under_way--;
    l->silent_ticks = 0;
    w->on_reply(w, reply);
}

/* --- what must not come ---
 *
 * hiredis ends the program over a reply that nobody asked for, and over one on a listening connection that is not what
 * such a connection hears. So whatever has the address instead of Redis is looked at while its replies are made;
 * hiredis breaks the connection when there is no object. */

static bool is_wanted(const struct redis_link *l, const redisReadTask *t) {
    if (!t->parent) return t->type == REDIS_REPLY_ERROR || l->under_way > 0 || l->ear;
    bool names = !t->parent->parent && t->idx < 2;
    return !l->ear || !names || t->type == REDIS_REPLY_STRING;
}

static bool link_takes(const redisReadTask *t, bool is_good) {
    struct redis_link *l = t->privdata;
    if (is_good && is_wanted(l, t)) return true;
    if (!l->why[0]) why_set(l, "it answers what it was not asked; is it Redis?");
    return false;
}

static bool is_heard(struct slice word) {
    return slice_equal(word, SLICE("message")) || slice_equal(word, SLICE("subscribe"));
}

static void *make_string(const redisReadTask *t, char *text, size_t n) {
    const struct redis_link *l = t->privdata;
    bool is_word = l->ear && t->parent && !t->parent->parent && t->idx == 0;
    bool is_good = !is_word || is_heard(slice_make(text, n));
    return link_takes(t, is_good) ? l->plain.createString(t, text, n) : NULL;
}

static void *make_array(const redisReadTask *t, int n) {
    const struct redis_link *l = t->privdata;
    return link_takes(t, !l->ear || n == 3) ? l->plain.createArray(t, n) : NULL;
}

static void *make_integer(const redisReadTask *t, long long value) {
    const struct redis_link *l = t->privdata;
    return link_takes(t, true) ? l->plain.createInteger(t, value) : NULL;
}

static void *make_nil(const redisReadTask *t) {
    const struct redis_link *l = t->privdata;
    return link_takes(t, true) ? l->plain.createNil(t) : NULL;
}

static void replies_check(struct redis_link *l) {
    redisReader *reader = l->context->c.reader;
    l->plain = l->checked = *reader->fn;
    l->checked.createString = make_string;
    l->checked.createArray = make_array;
    l->checked.createInteger = make_integer;
    l->checked.createNil = make_nil;
    reader->fn = &l->checked;
    reader->privdata = l;
}

/* --- listening --- */

/* hiredis calls it for each message, and once without a reply when the connection ends. */
static void on_push(redisAsyncContext *context, void *reply, void *wait) {
    struct redis_link *l = context->data;
    struct redis_wait *w = wait;
    l->silent_ticks = 0;
    if (reply && w == l->ear) w->on_reply(w, reply);
}

/* Said again and again: the answer shows that somebody is there. A PING would do so, too, but hiredis keeps a note of
 * each for ever, since it expects no answer to one. */
static void subscribe(struct redis_link *l) {
    const char *words[] = {"SUBSCRIBE", l->channel};
    const size_t sizes[] = {9, strlen(l->channel)};
    if (redisAsyncCommandArgv(l->context, on_push, l->ear, 2, words, sizes) != REDIS_OK)
        redis_link_fail(l, "it takes no subscription");
}

void redis_link_subscribe(struct redis_link *l, struct slice channel, struct redis_wait *w) {
    assert(l->phase == LINK_OPEN && l->context);
    free(l->channel);
    l->channel = slice_dup(channel);
    l->ear = w;
    subscribe(l);
}

/* --- the first words --- */

static struct redis_link *link_of(const redisAsyncContext *context) {
    return context->data;
}

static void on_greeted(struct redis_wait *w, const redisReply *reply) {
    struct redis_link *l = container_of(w, struct redis_link, greeting);
    if (reply && reply->type == REDIS_REPLY_ERROR) redis_link_fail(l, reply->str);
}

static void greet(struct redis_link *l, const char *words[], const size_t sizes[], int count) {
    char *command;
    int n = redisFormatCommandArgv(&command, count, words, sizes);
    if (n < 0) abort(); /* out of memory */
    redis_link_send(l, slice_make(command, (size_t)n), &l->greeting);
    redisFreeCommand(command);
}

static void log_in(struct redis_link *l) {
    const struct redis_address *a = l->address;
    if (slice_is_none(a->password)) return;
    const char *words[] = {"AUTH", a->user.p ? a->user.p : a->password.p, a->password.p};
    const size_t sizes[] = {4, a->user.p ? a->user.n : a->password.n, a->password.n};
    greet(l, words, sizes, a->user.p ? 3 : 2);
}

static void database_select(struct redis_link *l) {
    char number[16];
    int n = snprintf(number, sizeof number, "%u", l->address->database);
    if (l->address->database) greet(l, (const char *[]){"SELECT", number}, (const size_t[]){6, (size_t)n}, 2);
}

static void on_connected(const redisAsyncContext *context, int status) {
    struct redis_link *l = link_of(context);
    if (status != REDIS_OK) return; /* on_cleanup follows */
    l->phase = LINK_OPEN;
    log_in(l);
    database_select(l);
    l->owner.on_open(l->owner.context);
}

/* --- connecting --- */

static void link_rest(struct redis_link *l) {
    unsigned doublings = l->failures < REST_DOUBLINGS ? l->failures : REST_DOUBLINGS;
    uint64_t longest = (uint64_t)REST_MIN_MS << doublings;
    if (longest > REST_MAX_MS) longest = REST_MAX_MS;
    uint64_t ms = longest / 2 + clock_random_below(loop_clock(l->loop), longest / 2 + 1);
    l->failures++;
    l->phase = LINK_RESTING;
    deadline_arm(loop_deadlines(l->loop), &l->rest, clock_now_ms(loop_clock(l->loop)) + ms);
}

static void on_down(struct turn_task *task) {
    struct redis_link *l = container_of(task, struct redis_link, down);
    char why[sizeof l->why];
    memcpy(why, l->why, sizeof why);
    l->why[0] = '\0';
    link_rest(l);
    l->owner.on_down(l->owner.context, why);
}

static void on_rested(struct deadline *d) {
    link_begin(container_of(d, struct redis_link, rest));
}

static void link_attach(struct redis_link *l, redisAsyncContext *context) {
    l->context = context;
    context->data = l;
    context->ev.data = l;
    context->ev.addRead = on_add_read;
    context->ev.delRead = on_del_read;
    context->ev.addWrite = on_add_write;
    context->ev.delWrite = on_del_write;
    context->ev.cleanup = on_cleanup;
    redisAsyncSetConnectCallback(context, on_connected);
    replies_check(l);
}

static void link_give_up(struct redis_link *l, const char *why) {
    why_set(l, why);
    turn_add(loop_turn(l->loop), &l->down);
}

static void link_connect(struct redis_link *l, const char *number) {
    redisAsyncContext *context = redisAsyncConnect(number, l->address->port);
    l->phase = LINK_CONNECTING;
    l->silent_ticks = 0;
    if (!context) abort(); /* out of memory */
    if (!context->err) {
        fcntl(context->c.fd, F_SETFD, FD_CLOEXEC);
        l->watch = watch_open(l->loop, context->c.fd, on_watch, l);
    }
    if (!l->watch) {
        link_give_up(l, context->err ? context->errstr : "the socket cannot be watched");
        redisAsyncFree(context);
        return;
    }
    link_attach(l, context);
}

/* --- names --- */

/* Looked up on another thread; the link may be gone when that comes back. */
struct resolution {
    struct redis_link *link;
    char *host;
    char numbers[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    unsigned count;
    int status;
};

static void resolve(void *context) {
    struct resolution *r = context;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    r->status = getaddrinfo(r->host, NULL, &hints, &found);
    for (struct addrinfo *i = found; i && r->count < ADDRESSES_MAX; i = i->ai_next)
        if (getnameinfo(i->ai_addr, i->ai_addrlen, r->numbers[r->count], INET6_ADDRSTRLEN, NULL, 0, NI_NUMERICHOST) ==
            0)
            r->count++;
    if (found) freeaddrinfo(found);
}

/* Each failure moves on to the next address. */
static void on_resolved(void *context) {
    struct resolution *r = context;
    struct redis_link *l = r->link;
    if (l) l->resolution = NULL;
    if (l && r->count)
        link_connect(l, r->numbers[l->failures % r->count]);
    else if (l)
        link_give_up(l, r->status ? gai_strerror(r->status) : "the name has no address");
    free(r->host);
    free(r);
}

static void link_begin(struct redis_link *l) {
    unsigned char number[sizeof(struct in6_addr)];
    const char *host = l->address->host;
    if (inet_pton(AF_INET, host, number) == 1 || inet_pton(AF_INET6, host, number) == 1) {
        link_connect(l, host);
        return;
    }
    struct resolution *r = xcalloc(1, sizeof *r);
    r->link = l;
    r->host = xstrdup(host);
    l->resolution = r;
    l->phase = LINK_RESOLVING;
    loop_work(l->loop, resolve, on_resolved, r);
}

/* --- life --- */

static void on_tick(struct deadline *d) {
    struct redis_link *l = container_of(d, struct redis_link, tick);
    deadline_arm(loop_deadlines(l->loop), d, clock_now_ms(loop_clock(l->loop)) + TICK_MS);
    bool owes = l->phase == LINK_CONNECTING || (l->phase == LINK_OPEN && (l->under_way > 0 || l->ear));
    if (l->phase == LINK_OPEN && l->context && l->ear && ++l->ticks % SUBSCRIBE_TICKS == 0) subscribe(l);
    l->silent_ticks = owes ? l->silent_ticks + 1 : 0;
    if (l->silent_ticks > SILENCE_TICKS) redis_link_fail(l, "no answer for 10 seconds");
    l->owner.on_tick(l->owner.context);
}

struct redis_link *redis_link_new(struct loop *loop, const struct redis_address *address,
                                  struct redis_link_owner owner) {
    struct redis_link *l = xcalloc(1, sizeof *l);
    l->loop = loop;
    l->address = address;
    l->owner = owner;
    l->events = (struct turn_task){.phase = TURN_LOCAL, .run = on_events};
    l->flush = (struct turn_task){.phase = TURN_LAST, .run = on_flush};
    l->down = (struct turn_task){.phase = TURN_LOCAL, .run = on_down};
    l->tick.on_due = on_tick;
    l->rest.on_due = on_rested;
    l->greeting.on_reply = on_greeted;
    deadline_arm(loop_deadlines(loop), &l->tick, clock_now_ms(loop_clock(loop)) + TICK_MS);
    link_begin(l);
    return l;
}

bool redis_link_has_room(const struct redis_link *l) {
    return l->phase == LINK_OPEN && l->context && !outgoing_is_full(l);
}

void redis_link_send(struct redis_link *l, struct slice command, struct redis_wait *w) {
    assert(l->phase == LINK_OPEN && l->context);
    l->under_way++;
    int status = redisAsyncFormattedCommand(l->context, on_reply, w, command.p, command.n);
    /* Refused only while hiredis is taking the connection down: then the answer is that there is none. */
    if (status != REDIS_OK) {
        l->under_way--;
        w->on_reply(w, NULL);
        return;
    }
    l->was_full |= outgoing_is_full(l);
}

void redis_link_hurry(struct redis_link *l) {
    if (l->phase != LINK_RESTING || !deadline_armed(&l->rest)) return;
    deadline_arm(loop_deadlines(l->loop), &l->rest, clock_now_ms(loop_clock(l->loop)));
}

void redis_link_settled(struct redis_link *l) {
    l->failures = 0;
}

void redis_link_fail(struct redis_link *l, const char *why) {
    if (!l->context) return;
    if (!l->why[0]) why_set(l, why);
    redisAsyncFree(l->context);
}

void redis_link_free(struct redis_link *l) {
    if (!l) return;
    assert(l->under_way == 0);
    if (l->resolution) l->resolution->link = NULL;
    if (l->context) redisAsyncFree(l->context);
    deadline_disarm(loop_deadlines(l->loop), &l->tick);
    deadline_disarm(loop_deadlines(l->loop), &l->rest);
    turn_remove(&l->down);
    free(l->channel);
    free(l);
}
