# execgate: one Makefile, explicit about layers. `make help` lists the targets.
VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
CC ?= gcc
CXX ?= g++
CLANG ?= clang
PYTHON ?= /usr/bin/python3
V ?= 0
MAKEFLAGS += -j$(shell nproc)
# Tests mostly wait: several at once end four times sooner, even on two cores.
TEST_JOBS ?= 6
Q := $(if $(filter 1,$(V)),,@)

# A folder is a layer: it may include itself and what stands before it (tests/lint/layers.py reads this line).
ROOMS := gateway/base gateway/schedule gateway/loop gateway/client gateway/blueprint gateway/invocation gateway/pool gateway/redis gateway/queue gateway/cluster gateway/websocket gateway/event_stream plugins gateway/source local-api gateway/observe gateway/command
PACKAGES := libmicrohttpd libuv yaml-0.1 libcurl libssl libcrypto libjwt zlib libbrotlienc libzstd sqlite3 hiredis
TEST_PACKAGES := cmocka jansson libbrotlidec

# What each purpose needs from Debian; `make` installs what is missing (as root, or through sudo).
BUILD_DEBS := gcc g++ pkg-config libmicrohttpd-dev libuv1-dev libyaml-dev libcurl4-openssl-dev libssl-dev libjwt-dev zlib1g-dev libbrotli-dev libzstd-dev libsqlite3-dev libhiredis-dev libwslay-dev nlohmann-json3-dev
TEST_DEBS := libcmocka-dev libjansson-dev python3 python3-pytest python3-pytest-xdist curl openssl procps chromium gdb tmux perl tzdata redis-server python3-websockets util-linux mount iproute2 \
             $(foreach pair,go:golang-go cargo:cargo node:nodejs,$(if $(shell command -v $(firstword $(subst :, ,$(pair)))),,$(lastword $(subst :, ,$(pair)))))
LINT_DEBS := clang clang-format clang-tidy universal-ctags python3
FUZZ_DEBS := clang libclang-rt-14-dev
COMPAT_DEBS := g++ make cmake autoconf automake libtool libcurl4-openssl-dev python3 python3-venv python3-pytest procps
BENCH_DEBS := wrk python3 util-linux redis-server

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla \
            -Wformat=2 -Wswitch-enum -Wundef -Wconversion -Werror
RELEASE_FLAGS := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
ASAN_FLAGS := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_FLAGS ?= $(RELEASE_FLAGS)
LINK_FLAGS ?= -pie
CFLAGS_ALL = -std=gnu17 -D_GNU_SOURCE -DEXECGATE_VERSION='"$(VERSION)"' -I. -g $(WARNINGS) $(MODE_FLAGS) $(CFLAGS)
LIBS = $(shell pkg-config --libs $(PACKAGES)) -lwslay -lcrypt -lpthread -lm

SOURCES := $(sort $(foreach room,$(ROOMS),$(wildcard $(room)/*.c $(room)/*/*.c)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
OBJECTS += $(BUILD)/templates.o
# What `execgate new` writes, embedded as it stands (gateway/command/build/templates.h).
TEMPLATES := $(shell find sdk-examples/templates/*/ -type f | sort) sdk-examples/execgate.h sdk-examples/execgate.hpp LICENSE \
             $(filter-out %_test.go,$(wildcard $(addprefix sdk-examples/,go-sdk/go.mod go-sdk/*.go go-sdk/*/*.go rust-sdk/Cargo.toml rust-sdk/src/*)))
UNIT_BINARIES := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ_BINARIES := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
EXAMPLES := $(patsubst sdk-examples/c/%.c,$(BUILD)/examples/%,$(wildcard sdk-examples/c/*.c)) \
            $(patsubst sdk-examples/cpp/%.cpp,$(BUILD)/examples/%,$(wildcard sdk-examples/cpp/*.cpp))
GO := $(shell command -v go)
CARGO := $(shell command -v cargo)
GO_LOCAL := GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local go
CARGO_LOCAL = MAKEFLAGS= cargo test --offline --quiet --target-dir $(abspath $(BUILD))/rust
MORE_EXAMPLES := $(BUILD)/examples/chat-talk $(if $(GO),$(addprefix $(BUILD)/examples/,hello-go chat-doors)) \
                 $(if $(CARGO),$(addprefix $(BUILD)/examples/,hello-rust chat-rooms))
QUICKSTART := blueprints/$(if $(GO),$(if $(CARGO),polyglot,quickstart),quickstart).yaml

.PHONY: all help run test unit sdk e2e faults compat asan fuzz bench lint format docs install deps examples clean
all: $(BUILD)/execgate ## build the release binary at build/execgate (the default)

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1|/' | column -t -s '|'

# $(call need,PACKAGES): a recipe line that installs those that are missing.
define need
$(Q)missing=""; if command -v dpkg-query >/dev/null; then for p in $(1); do \
	dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	else echo "no dpkg here; these Debian packages are needed: $(1)"; fi; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; as=; [ "$$(id -u)" = 0 ] || as=sudo; \
	$$as apt-get -o DPkg::Lock::Timeout=300 update -qq && $$as env DEBIAN_FRONTEND=noninteractive \
	apt-get -o DPkg::Lock::Timeout=300 install -y -qq $$missing >/dev/null; fi
$(Q)mkdir -p $(@D) && touch $@
endef

$(BUILD)/.need-build: Makefile
	$(call need,$(BUILD_DEBS))
$(BUILD)/.need-test: Makefile
	$(call need,$(TEST_DEBS))
$(BUILD)/.need-lint: Makefile
	$(call need,$(LINT_DEBS))
$(BUILD)/.need-fuzz: Makefile
	$(call need,$(FUZZ_DEBS))
$(BUILD)/.need-bench: Makefile
	$(call need,$(BENCH_DEBS))
$(BUILD)/.need-compat: Makefile
	$(call need,$(COMPAT_DEBS))
deps: $(BUILD)/.need-build $(BUILD)/.need-test $(BUILD)/.need-lint $(BUILD)/.need-fuzz $(BUILD)/.need-bench $(BUILD)/.need-compat ## install every Debian package that any target needs

# From the objects, not the archive: two functions of one name must not pass.
$(BUILD)/execgate: $(BUILD)/gateway/main.o $(OBJECTS)
	@echo "  LINK  $@"
	$(Q)$(CC) $(MODE_FLAGS) $(LINK_FLAGS) -o $@ $^ $(LIBS)

$(BUILD)/libexecgate.a: $(OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c | $(BUILD)/.need-build
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# Its .incbin lines name these, which the compiler's dependency files do not.
$(BUILD)/gateway/queue/redis_script.o: $(wildcard gateway/queue/redis/*.lua)
$(BUILD)/gateway/cluster/cluster_script.o: gateway/cluster/cluster.lua
$(BUILD)/templates.c: gateway/command/build/embed.sh $(TEMPLATES)
	@mkdir -p $(@D)
	@echo "  EMBED $@"
	$(Q)sh gateway/command/build/embed.sh $(TEMPLATES) >$@
$(BUILD)/templates.o: $(BUILD)/templates.c | $(BUILD)/.need-build
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# --- examples ---
$(BUILD)/examples/%: sdk-examples/c/%.c sdk-examples/execgate.h | $(BUILD)/.need-build
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) -std=gnu17 -O2 -Wall -Wextra -Werror -Isdk-examples -o $@ $< -lpthread
$(BUILD)/examples/%: sdk-examples/cpp/%.cpp sdk-examples/execgate.h sdk-examples/execgate.hpp | $(BUILD)/.need-build
	@mkdir -p $(@D)
	@echo "  CXX   $<"
	$(Q)$(CXX) -std=c++17 -O2 -Wall -Wextra -Werror -Isdk-examples -o $@ $< -lpthread
$(BUILD)/examples/chat-talk: $(wildcard sdk-examples/chat/cpp/*) sdk-examples/execgate.h sdk-examples/execgate.hpp | $(BUILD)/.need-build
	@mkdir -p $(@D)
	@echo "  CXX   $@"
	$(Q)$(CXX) -std=c++17 -O2 -Wall -Wextra -Werror -Isdk-examples -o $@ sdk-examples/chat/cpp/main.cpp -lpthread
$(BUILD)/examples/hello-go $(BUILD)/examples/chat-doors: $(wildcard $(addprefix sdk-examples/,go/* chat/go/* chat/go/page/* go-sdk/*))
	@mkdir -p $(@D)
	@echo "  GO    $@"
	$(Q)cd sdk-examples/$(if $(filter %chat-doors,$@),chat/go,go) && $(GO_LOCAL) build -o $(abspath $@) .
$(BUILD)/examples/hello-rust $(BUILD)/examples/chat-rooms: $(wildcard $(addprefix sdk-examples/,rust/* rust/src/* chat/rust/* chat/rust/src/* rust-sdk/* rust-sdk/src/*))
	@mkdir -p $(@D)
	@echo "  CARGO $@"
	$(Q)cd sdk-examples/$(if $(filter %chat-rooms,$@),chat/rust,rust) && cargo build --release --offline --quiet --target-dir $(abspath $(BUILD))/rust
	$(Q)cp -f $(BUILD)/rust/release/$(@F) $@
examples: $(EXAMPLES) $(MORE_EXAMPLES) ## build the example handlers
	$(if $(GO),,@echo "no Go here: its example is left out (install golang-go)")
	$(if $(CARGO),,@echo "no Rust here: its example is left out (install cargo)")

run: $(BUILD)/execgate examples ## build everything and serve the quickstart (with Go and Rust here: blueprints/polyglot.yaml)
	@$(BUILD)/execgate run $(QUICKSTART)

# --- tests ---
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libexecgate.a | $(BUILD)/.need-test
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -Isdk-examples -Wno-missing-prototypes -MMD -MP $(LINK_FLAGS) -o $@ $< $(BUILD)/libexecgate.a $(LIBS) $(shell pkg-config --libs $(TEST_PACKAGES))

unit: $(if $(TEST),$(BUILD)/tests/unit/$(TEST),$(UNIT_BINARIES)) ## run the unit tests (TEST=test_x: one, TEST_JOBS=6 at once)
	@printf '%s\n' $^ | xargs -P $(TEST_JOBS) -I{} sh -c 'if {} >{}.log 2>&1; then echo "ok    {}"; else cat {}.log; echo "FAIL  {}"; exit 1; fi'

e2e: $(BUILD)/execgate examples | $(BUILD)/.need-test ## run the end-to-end tests and the crash test's short form (PYTEST_ARGS=... TEST_JOBS=6 at once)
	EXECGATE_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -rs -n $(TEST_JOBS) -p no:cacheprovider tests/e2e tests/faults $(PYTEST_ARGS)

FAULTS_KILLS ?= 200
FAULTS_SEED ?= 1
FAULTS_ROUNDS ?= 10
faults: $(BUILD)/execgate | $(BUILD)/.need-test ## the crash tests in full: gateway, handlers, disk, network and Redis fail, nothing is lost (FAULTS_KILLS=200 FAULTS_ROUNDS=10 FAULTS_SEED=1)
	$(Q)for s in sqlite redis; do EXECGATE_BUILD=$(abspath $(BUILD)) $(PYTHON) tests/faults/crash.py --store $$s --kills $(FAULTS_KILLS) --seed $(FAULTS_SEED) || exit 1; done
	$(Q)EXECGATE_BUILD=$(abspath $(BUILD)) $(PYTHON) tests/faults/network.py --rounds $(FAULTS_ROUNDS) --seed $(FAULTS_SEED)

sdk: | $(BUILD)/.need-test ## run the tests of the Go and Rust SDKs, and of the examples on them
	$(if $(GO),$(Q)for d in go-sdk go short-link/go chat/go; do (cd sdk-examples/$$d && $(GO_LOCAL) vet ./... && $(GO_LOCAL) test ./...) || exit 1; done,@echo "no Go here: its SDK is NOT tested (install golang-go)")
	$(if $(CARGO),$(Q)for d in rust-sdk rust short-link/rust chat/rust; do (cd sdk-examples/$$d && $(CARGO_LOCAL)) || exit 1; done,@echo "no Rust here: its SDK is NOT tested (install cargo)")

test: ## install what the tests need, then run all of them
	+@$(MAKE) --no-print-directory unit
	+@$(MAKE) --no-print-directory sdk
	+@$(MAKE) --no-print-directory e2e

compat: $(BUILD)/execgate $(BUILD)/examples/echo | $(BUILD)/.need-compat ## build handlers on the official Lambda clients and test them, and WebSocket clients of others (COMPAT_INVOCATIONS=10000 each way, PYTEST_ARGS=...)
	$(PYTHON) -B tests/compat/build.py $(BUILD)/compat
	EXECGATE_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -p no:cacheprovider tests/compat $(PYTEST_ARGS)

asan: ## the whole suite under AddressSanitizer and UBSan
	+$(MAKE) BUILD=$(BUILD)/asan MODE_FLAGS="$(ASAN_FLAGS)" LINK_FLAGS= test

# --- fuzzing: a bounded minute over all targets ---
FUZZ_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
.PHONY: fuzz-library
fuzz-library: | $(BUILD)/.need-fuzz
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=$(CLANG) MODE_FLAGS="$(FUZZ_FLAGS)" $(BUILD)/fuzz/libexecgate.a
$(FUZZ_BINARIES): $(BUILD)/fuzz/%: tests/fuzz/%.c fuzz-library
	@echo "  FUZZ  $<"
	$(Q)$(CLANG) $(CFLAGS_ALL) -Wno-missing-prototypes -fsanitize=fuzzer -o $@ $< $(BUILD)/fuzz/libexecgate.a $(LIBS)
FUZZ_SECONDS ?= 60
$(FUZZ_BINARIES): MODE_FLAGS = $(FUZZ_FLAGS)
fuzz: $(FUZZ_BINARIES) ## run every fuzz target, FUZZ_SECONDS=60 in all
	@each=$$(( $(FUZZ_SECONDS) / $(words $(FUZZ_BINARIES)) )); for t in $(FUZZ_BINARIES); do n=$${t##*/fuzz_}; \
	echo "== $$n ($$each s)"; mkdir -p $(BUILD)/fuzz/found/$$n; \
	$$t -max_total_time=$$each -max_len=65536 -artifact_prefix=$(BUILD)/fuzz/ -verbosity=0 -print_final_stats=1 $(BUILD)/fuzz/found/$$n tests/fuzz/corpus/$$n 2>$(BUILD)/fuzz/$$n.log \
	&& grep -E 'number_of_executed|new_units' $(BUILD)/fuzz/$$n.log || { tail -40 $(BUILD)/fuzz/$$n.log; exit 1; }; done

bench: $(BUILD)/execgate examples $(addprefix $(BUILD)/bench/,hello bare verify queue_store queue_redis bare_websocket websocket_load) | $(BUILD)/.need-bench ## measure, print the table, write bench/results.md
	EXECGATE_BUILD=$(abspath $(BUILD)) $(PYTHON) bench/run.py $(BENCH_ARGS)
$(BUILD)/bench/verify $(BUILD)/bench/queue_store $(BUILD)/bench/queue_redis: $(BUILD)/bench/%: bench/%.c $(wildcard bench/*.h) $(BUILD)/libexecgate.a | $(BUILD)/.need-test
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $< $(BUILD)/libexecgate.a $(LIBS) $(shell pkg-config --libs $(TEST_PACKAGES))
$(BUILD)/bench/%: bench/%.c | $(BUILD)/.need-build
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -o $@ $< $(LIBS)

# --- upkeep ---
C_FILES = $(shell git ls-files '*.c' '*.h' ':!sdk-examples' 2>/dev/null)
lint: $(BUILD)/.need-lint $(BUILD)/.need-build ## formatting, clang-tidy, layers, function and file lengths
	@clang-format --dry-run -Werror $(C_FILES)
	$(PYTHON) tests/lint/layers.py $(ROOMS)
	$(PYTHON) tests/lint/lengths.py
	@echo $(SOURCES) | xargs -n 4 -P $(shell nproc) sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- $(filter-out -Werror -DEXECGATE_VERSION=%,$(CFLAGS_ALL)) -DEXECGATE_VERSION=\"$(VERSION)\"' tidy
format: $(BUILD)/.need-lint ## lay the C sources out as .clang-format says
	@clang-format -i $(C_FILES)
docs: $(BUILD)/execgate ## write the generated part of docs/blueprint.md
	$(PYTHON) tests/lint/reference.py $(BUILD)/execgate docs/blueprint.md

install: $(BUILD)/execgate ## install into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILD)/execgate $(DESTDIR)$(PREFIX)/bin/execgate
	install -d $(DESTDIR)$(PREFIX)/include
	install -D -m 644 docs/execgate.1 $(DESTDIR)$(PREFIX)/share/man/man1/execgate.1
	install -m 644 -t $(DESTDIR)$(PREFIX)/include sdk-examples/execgate.h sdk-examples/execgate.hpp
clean: ## remove what was built
	rm -rf $(BUILD)

-include $(OBJECTS:.o=.d) $(UNIT_BINARIES:=.d)
