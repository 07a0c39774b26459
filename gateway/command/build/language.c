#include "gateway/command/build/language.h"
#include "gateway/base/buf.h"
#include "gateway/base/memory.h"
#include "gateway/base/text.h"
#include "gateway/blueprint/text_rules.h"

#define TEMPLATES "sdk-examples/templates/"
#define COMMON                                                                                                         \
    { TEMPLATES "common/", "" }
#define LICENSED                                                                                                       \
    { "LICENSE", "execgate/" }

/* Words of the language, crates that are always there, and folders of cargo's own. */
static const char *const rust_reserved[] = {
    "abstract", "alloc",  "as",     "async",   "await",  "become",   "box",         "break",      "build",  "const",
    "continue", "core",   "crate",  "deps",    "do",     "dyn",      "else",        "enum",       "extern", "examples",
    "false",    "final",  "fn",     "for",     "if",     "impl",     "incremental", "in",         "let",    "loop",
    "macro",    "match",  "mod",    "move",    "mut",    "override", "priv",        "proc-macro", "pub",    "ref",
    "return",   "self",   "static", "std",     "struct", "super",    "test",        "trait",      "true",   "try",
    "type",     "typeof", "unsafe", "unsized", "use",    "virtual",  "where",       "while",      "yield",  NULL};

static const struct language languages[] = {
    {.name = "c",
     .title = "C",
     .source = "main.c",
     .tool = "cc",
     .package = "gcc",
     .note = "The client is `execgate/execgate.h`, one file; its head explains it.",
     .mounts = {COMMON, {TEMPLATES "c/", ""}, {"sdk-examples/execgate.h", "execgate/"}, LICENSED}},
    {.name = "cpp",
     .title = "C++",
     .source = "main.cpp",
     .tool = "c++",
     .package = "g++",
     .note = "The client is `execgate/execgate.hpp` on `execgate/execgate.h`; their heads explain them.",
     .mounts = {COMMON,
                {TEMPLATES "cpp/", ""},
                {"sdk-examples/execgate.h", "execgate/"},
                {"sdk-examples/execgate.hpp", "execgate/"},
                LICENSED}},
    {.name = "go",
     .title = "Go",
     .source = "main.go",
     .tool = "go",
     .package = "golang-go",
     .note = "The SDK is the module in `execgate/`, which go.mod points to; `go doc execgate.example/execgate` "
             "explains it.",
     .mounts = {COMMON, {TEMPLATES "go/", ""}, {"sdk-examples/go-sdk/", "execgate/"}, LICENSED}},
    {.name = "rust",
     .title = "Rust",
     .source = "src/main.rs",
     .tool = "cargo",
     .package = "cargo",
     .note = "The SDK is the crate in `execgate/`; `cargo doc --open` explains it.",
     .mounts = {COMMON, {TEMPLATES "rust/", ""}, {"sdk-examples/rust-sdk/", "execgate/"}, LICENSED},
     .reserved = rust_reserved},
    {.name = "shell",
     .title = "shell",
     .source = "handler.sh",
     .tool = "sh",
     .package = "dash",
     .note = "A process is started for each request (`mode: once`), with the variables of CGI/1.1 (RFC 3875).",
     .mounts = {COMMON, {TEMPLATES "shell/", ""}}},
    {.name = "python",
     .title = "Python",
     .source = "handler.py",
     .tool = "python3",
     .package = "python3",
     .note = "The client is `execgate.py`, one file on the standard library.",
     .mounts = {COMMON, {TEMPLATES "python/", ""}}},
    {.name = "node",
     .title = "JavaScript",
     .source = "handler.mjs",
     .tool = "node",
     .package = "nodejs",
     .note = "The client is `execgate.mjs`, one file on what Node.js has.",
     .mounts = {COMMON, {TEMPLATES "node/", ""}}},
};

static void unknown_language(const char *name, struct error *e) {
    const char *names[ARRAY_LEN(languages)];
    struct buf all = {0};
    for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
        names[i] = languages[i].name;
        buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    }
    buf_append_char(&all, '\0');
    const char *near = name ? text_nearest(slice_of(name), names, ARRAY_LEN(names)) : NULL;
    if (near)
        error_set(e, ERROR_USAGE, "unknown language \"%s\"; did you mean \"%s\"? There are: %s", name, near, all.p);
    else if (name)
        error_set(e, ERROR_USAGE, "unknown language \"%s\"; there are: %s", name, all.p);
    else
        error_set(e, ERROR_USAGE, "say the language with --lang: %s", all.p);
    buf_free(&all);
}

const struct language *language_find(const char *name, struct error *e) {
    for (size_t i = 0; name && i < ARRAY_LEN(languages); i++)
        if (strcmp(languages[i].name, name) == 0) return &languages[i];
    unknown_language(name, e);
    return NULL;
}

int language_check_name(const struct language *l, const char *name, struct error *e) {
    if (!rule_name.accepts(slice_of(name)) || *name < 'a')
        return error_set(
            e, ERROR_USAGE,
            "\"%s\" cannot be the name: it becomes the handler's and the program's, so it takes lower-case "
            "letters, digits and '-', beginning with a letter, at most 64",
            name);
    if (strcmp(name, "execgate") == 0)
        return error_set(e, ERROR_USAGE, "\"execgate\" is the name of the SDK; choose another");
    for (const char *const *r = l->reserved; r && *r; r++)
        if (strcmp(*r, name) == 0)
            return error_set(e, ERROR_USAGE, "\"%s\" cannot be the name of a program in %s; choose another", name,
                             l->title);
    return 0;
}
