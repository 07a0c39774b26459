#include "gateway/blueprint/schema.h"

/* One pass over a command line. */
struct word_reader {
    struct slice rest;
    struct buf word;
    bool begun; /* a quote makes even an empty word a word */
};

static void reader_take(struct word_reader *r, size_t n) {
    buf_append(&r->word, r->rest.p, n);
    r->rest = slice_make(r->rest.p + n, r->rest.n - n);
    r->begun = true;
}

static void reader_skip(struct word_reader *r) {
    r->rest = slice_make(r->rest.p + 1, r->rest.n - 1);
}

/* A backslash quotes any byte outside quotes, and only " and \ inside double ones. */
static bool escape_applies(const struct word_reader *r, char quote) {
    if (r->rest.p[0] != '\\' || r->rest.n < 2 || quote == '\'') return false;
    return quote == 0 || r->rest.p[1] == '"' || r->rest.p[1] == '\\';
}

static void reader_take_one(struct word_reader *r, char quote) {
    size_t span = substitute_span(r->rest);
    if (span) {
        reader_take(r, span);
        return;
    }
    if (escape_applies(r, quote)) reader_skip(r);
    reader_take(r, 1);
}

static int read_quoted(struct word_reader *r, struct error *e) {
    char quote = r->rest.p[0];
    r->begun = true;
    for (reader_skip(r); r->rest.n > 0; reader_take_one(r, quote)) {
        if (r->rest.p[0] != quote) continue;
        reader_skip(r);
        return 0;
    }
    return error_set(e, ERROR_BLUEPRINT, "a quote (%c) in the command is never closed", quote);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n';
}

static int read_word(struct word_reader *r, struct error *e) {
    while (r->rest.n > 0 && is_blank(r->rest.p[0])) reader_skip(r);
    while (r->rest.n > 0 && !is_blank(r->rest.p[0])) {
        if (r->rest.p[0] != '\'' && r->rest.p[0] != '"') {
            reader_take_one(r, 0);
            continue;
        }
        int result = read_quoted(r, e);
        if (result < 0) return result;
    }
    return 0;
}

static void command_push(struct arena *a, struct bound_command *out, const struct node *n, struct slice word) {
    struct node *w = arena_alloc(a, sizeof *w);
    *w = *n;
    w->plain = false;
    w->text = slice_make(arena_text(a, word), word.n);
    if ((out->count & (out->count - 1)) == 0) {
        struct node **words = arena_alloc(a, (out->count ? out->count * 2 : 1) * sizeof *words);
        if (out->count) memcpy(words, out->words, out->count * sizeof *words);
        out->words = words;
    }
    out->words[out->count++] = w;
}

int words_split(struct arena *a, const struct node *n, struct bound_command *out, struct error *e) {
    struct word_reader r = {.rest = n->text};
    int result = 0;
    while (result == 0 && r.rest.n > 0) {
        r.word.n = 0;
        r.begun = false;
        result = read_word(&r, e);
        if (result == 0 && r.begun) command_push(a, out, n, buf_slice(&r.word));
    }
    buf_free(&r.word);
    return result;
}
