# execgate: one Makefile, explicit about layers. `make help` lists the targets.
VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
CC ?= gcc
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

# A folder is a layer: it may include itself and what stands before it (tests/lint/layers.py checks).
ROOMS := gateway/base gateway/blueprint gateway/invocation gateway/pool plugins gateway/source local-api gateway/observe gateway/command
PACKAGES := libmicrohttpd libuv yaml-0.1 libcurl
TEST_PACKAGES := cmocka jansson

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla \
            -Wformat=2 -Wswitch-enum -Wundef -Wconversion -Werror
MODE_FLAGS ?= -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS_ALL = -std=gnu17 -D_GNU_SOURCE -DEXECGATE_VERSION='"$(VERSION)"' -I. -g $(WARNINGS) $(MODE_FLAGS) $(CFLAGS) $(shell pkg-config --cflags $(PACKAGES))
LIBS = $(shell pkg-config --libs $(PACKAGES)) -lpthread -lm
LINK_FLAGS ?= -pie

SOURCES := $(sort $(foreach room,$(ROOMS),$(wildcard $(room)/*.c $(room)/*/*.c)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
UNIT_TESTS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BINARIES := $(UNIT_TESTS:%.c=$(BUILD)/%)

.PHONY: all unit clean
all: $(BUILD)/execgate

$(BUILD)/execgate: $(BUILD)/gateway/main.o $(BUILD)/libexecgate.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(MODE_FLAGS) $(LINK_FLAGS) -o $@ $^ $(LIBS)

$(BUILD)/libexecgate.a: $(OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# One program per unit test file; TEST=test_x runs only that one.
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libexecgate.a
	@mkdir -p $(@D)
	@echo "  TEST  $<"
	$(Q)$(CC) $(CFLAGS_ALL) -Wno-missing-prototypes -MMD -MP $(LINK_FLAGS) -o $@ $< $(BUILD)/libexecgate.a $(LIBS) $(shell pkg-config --libs $(TEST_PACKAGES))

unit: $(if $(TEST),$(BUILD)/tests/unit/$(TEST),$(UNIT_BINARIES))
	@for t in $^; do echo "== $$t"; $$t || exit 1; done

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
