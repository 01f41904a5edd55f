# SPDX-License-Identifier: GPL-2.0-or-later
#
# ksmd-plus. `make demo` and `make test` need nothing but root and a Debian 12
# or 13: they install what is missing (make deps), build and run.
#
# The house (daemon/): each folder is one layer, and may only include what
# LAYERS_<folder> names. A layer's objects become build/lib<layer>.a.

VERSION := 0.1.0
# Who answers for packages made here; say who you are before you publish one.
MAINTAINER ?= ksmd-plus developers <ksmd-plus@example.org>

# Where things go: the GNU names, and PREFIX and the like for those who are
# used to capitals. The programs know libexecdir and sysconfdir, so these have
# to be the same when building.
PREFIX ?= /usr
SYSCONFDIR ?= /etc
prefix ?= $(PREFIX)
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
sbindir ?= $(exec_prefix)/sbin
LIBEXECDIR ?= $(exec_prefix)/libexec
libexecdir ?= $(LIBEXECDIR)
sysconfdir ?= $(SYSCONFDIR)
datarootdir ?= $(prefix)/share
datadir ?= $(datarootdir)
mandir ?= $(datarootdir)/man
bashcompletiondir ?= $(datadir)/bash-completion/completions
zshcompletiondir ?= $(datadir)/zsh/site-functions
fishcompletiondir ?= $(datadir)/fish/vendor_completions.d
UNITDIR ?= /usr/lib/systemd/system
CATALOGDIR ?= /usr/lib/systemd/catalog
PRESETDIR ?= /usr/lib/systemd/system-preset
SYSUSERSDIR ?= /usr/lib/sysusers.d
DBUSDIR ?= /usr/share/dbus-1
POLKITDIR ?= /usr/share/polkit-1/actions
DESTDIR ?=
INSTALL ?= install
INSTALL_PROGRAM ?= $(INSTALL)
INSTALL_DATA ?= $(INSTALL) -m644

ARCH := $(shell uname -m)
# Checksums by the Data Streaming Accelerator: yes or no. Only x86-64 has one,
# and only there has Debian libaccel-config. Another choice wants another B.
DSA ?= $(if $(filter x86_64,$(ARCH)),yes,no)

# One list of packages, by what needs them; `make deps` installs what is
# missing. a|b is the first of the two that this Debian has.
PACKAGES_BUILD := gcc libc6-dev make pkgconf|pkg-config libsystemd-dev \
	libinih-dev libxxhash-dev libisal-dev libjson-c-dev \
	$(if $(filter yes,$(DSA)),libaccel-config-dev uuid-dev)
PACKAGES_BPF := clang libbpf-dev
PACKAGES_DEMO := python3
PACKAGES_VM := qemu-system-x86 busybox-static e2fsprogs
# The real programs of `make killstorm`, which does with what is there. Debian
# starts a server when it is installed: only SERVERS=yes installs them.
PACKAGES_STORM := golang-go nodejs default-jdk-headless $(PACKAGES_VM) \
	$(if $(filter yes,$(SERVERS)),postgresql redis-server nginx-light|nginx)
PACKAGES_DEB := build-essential debhelper
PACKAGES_RPM := rpm
PACKAGES_FRESH := mmdebstrap
# What no test uses where TEST_FAST=1 leaves out the suites that are slow.
PACKAGES_SLOW := $(PACKAGES_DEB) $(PACKAGES_RPM) $(PACKAGES_FRESH) zsh fish
PACKAGES_TEST := clang libclang-rt-dev libcmocka-dev valgrind gdb python3 \
	groff-base mandoc cppcheck dbus-daemon jq strace tmux $(PACKAGES_VM) \
	$(if $(filter 1,$(TEST_FAST)),,$(PACKAGES_SLOW))
PACKAGES_BENCH := gnuplot-nox python3 $(PACKAGES_VM)

# BPF=no builds without hints from reads of files (and without libbpf).
BPF ?= yes
ifeq ($(BPF),yes)
PACKAGES_BUILD += $(PACKAGES_BPF)
endif

# SECCOMP=no builds a daemon that gives up its capabilities, but no system call
# (and without libseccomp).
SECCOMP ?= yes
ifeq ($(SECCOMP),yes)
PACKAGES_BUILD += libseccomp-dev
endif

CC ?= gcc
B ?= build
V ?= 0
comma := ,
Q := $(if $(filter 1,$(V)),,@)

# What each layer may include, lowest last; also its link order.
LAYERS_base := base
LAYERS_sense := sense base
LAYERS_checksum := checksum base
LAYERS_decide := decide base
LAYERS_steer := steer sense base
LAYERS_view := view decide checksum sense base
LAYERS_service := service steer view decide checksum sense base
LAYERS_ctl := ctl view decide checksum sense base
LAYERS := base sense checksum decide view steer service ctl

LIBS_sense := $(if $(filter yes,$(BPF)),libbpf)
LIBS_checksum := libxxhash libisal $(if $(filter yes,$(DSA)),libaccel-config)
LIBS_view := inih
LIBS_service := libsystemd $(if $(filter yes,$(SECCOMP)),libseccomp)
LIBS_ctl := libsystemd json-c

CFLAGS ?= -O2 -g
# $(SAN) is set by the sanitizer builds below.
ALL_CFLAGS = -std=gnu17 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Werror=unused-function -D_GNU_SOURCE \
	-DKSMD_PLUS_VERSION='"$(VERSION)"' \
	-DKSMD_PLUS_LIBEXECDIR='"$(libexecdir)/ksmd-plus"' \
	-DKSMD_PLUS_SYSCONFDIR='"$(sysconfdir)"' \
	-fno-omit-frame-pointer -pthread -MMD -MP $(CPPFLAGS) $(CFLAGS) $(SAN)
# libm is a part of libc.
ALL_LDFLAGS = -pthread -Wl,--as-needed $(SAN) $(LDFLAGS) -lm

# The three programs; everything else in daemon/ goes into a layer's library.
MAIN_ksmd-plus := daemon/service/main.c
MAIN_ksmd-plus-injector := daemon/steer/injector-main.c
MAIN_ksmd-plusctl := daemon/ctl/main.c
MAINS := $(MAIN_ksmd-plus) $(MAIN_ksmd-plus-injector) $(MAIN_ksmd-plusctl)
PROGRAMS := $(addprefix $(B)/,ksmd-plus ksmd-plus-injector ksmd-plusctl)

# tracee-x86_64.c and its kind are built on their own machine only.
OTHER_ARCH = $(filter-out %-$(ARCH).c,$(wildcard daemon/*/*-x86_64.c \
	daemon/*/*-aarch64.c))
# What a library is missing for, or what stands in for it.
OTHER_LIBS = $(if $(filter yes,$(BPF)),daemon/sense/hints-none.c, \
	daemon/sense/hints.c daemon/sense/hints-object.c) \
	$(if $(filter yes,$(DSA)),daemon/checksum/engine-dsa-none.c, \
	daemon/checksum/engine-dsa.c $(wildcard daemon/checksum/dsa-*.c)) \
	daemon/service/filter$(if $(filter yes,$(SECCOMP)),-none).c
layer_sources = $(filter-out $(MAINS) $(OTHER_ARCH) $(OTHER_LIBS), \
	$(wildcard daemon/$(1)/*.c))
layer_objects = $(patsubst %.c,$(B)/%.o,$(call layer_sources,$(1)))
layer_includes = -Iinclude $(foreach l,$(LAYERS_$(1)),-iquote daemon/$(l))
pkg_cflags = $(if $(strip $(1)),$(shell pkg-config --cflags $(1)))
pkg_libs = $(if $(strip $(1)),$(shell pkg-config --libs $(1)))
# Libraries that layer $(1) and those below it need, and their archives.
layer_pkgs = $(foreach l,$(LAYERS_$(1)),$(LIBS_$(l)))
layer_archives = $(foreach l,$(LAYERS_$(1)),$(B)/lib$(l).a)

.PHONY: all
all: $(PROGRAMS)

# The programs that the kernel runs, embedded into the daemon. clang alone
# compiles for BPF; asm/types.h is where Debian puts it.
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -ffreestanding -Wall -Werror \
	-DARCH_HEADER='"arch-$(ARCH).h"' -Iinclude -Ibpf \
	-idirafter /usr/include/$(ARCH)-linux-gnu
HINTS_OBJECT := $(B)/bpf/hints.bpf.o

$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) include/ksmd-plus/hints.h
	@mkdir -p $(@D)
	@echo "  BPF     $<"
	$(Q)clang $(BPF_CFLAGS) -c -o $@ $<

$(B)/daemon/sense/hints-object.o: $(HINTS_OBJECT)
$(B)/daemon/sense/hints-object.o: \
	ALL_CFLAGS += -DHINTS_OBJECT='"$(HINTS_OBJECT)"'

define LAYER_RULES
$(B)/daemon/$(1)/%.o: daemon/$(1)/%.c
	@mkdir -p $$(@D)
	@echo "  CC      $$<"
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(call layer_includes,$(1)) \
		$$(call pkg_cflags,$$(LIBS_$(1))) -c -o $$@ $$<

$(B)/lib$(1).a: $(call layer_objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^

# A unit test links the layer it tests and what is below, nothing above.
$(B)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $(call layer_archives,$(1))
	@mkdir -p $$(@D)
	@echo "  CC      $$<"
	$$(Q)$$(CC) $$(ALL_CFLAGS) -iquote tests/unit \
		$$(call layer_includes,$(1)) -o $$@ $$< \
		$(call layer_archives,$(1)) $$(ALL_LDFLAGS) \
		$$(call pkg_libs,$$(call layer_pkgs,$(1)) cmocka)
endef
$(foreach l,$(LAYERS),$(eval $(call LAYER_RULES,$(l))))

define PROGRAM_RULES
$(B)/$(1): $(B)/$(MAIN_$(1):.c=.o) $(call layer_archives,$(2))
	@echo "  LD      $$@"
	$$(Q)$$(CC) -o $$@ $$^ $$(ALL_LDFLAGS) \
		$$(call pkg_libs,$$(call layer_pkgs,$(2)))
endef
$(eval $(call PROGRAM_RULES,ksmd-plus,service))
$(eval $(call PROGRAM_RULES,ksmd-plus-injector,steer))
$(eval $(call PROGRAM_RULES,ksmd-plusctl,ctl))

# --- tests -----------------------------------------------------------------

UNIT_SOURCES := $(filter-out $(if $(filter yes,$(DSA)),, \
	$(wildcard tests/unit/checksum/dsa-*.c)),$(wildcard tests/unit/*/*.c))
UNIT_TESTS := $(patsubst %.c,$(B)/%,$(UNIT_SOURCES))
TARGET_SOURCES := $(wildcard tests/targets/*.c)
TARGETS := $(patsubst %.c,$(B)/%,$(TARGET_SOURCES))
CONTRACT_SOURCES := $(wildcard tests/contract/*.c)
CONTRACT_TESTS := $(patsubst %.c,$(B)/%,$(CONTRACT_SOURCES))
SIMS := $(addprefix $(B)/tests/sim/,rounds pulses estimates)
FUZZ_SOURCES := $(wildcard tests/fuzz/*.c)
FUZZ_TESTS := $(patsubst %.c,$(B)/%,$(FUZZ_SOURCES))
BENCH_SOURCES := $(if $(filter yes,$(DSA)),$(wildcard tests/bench/*.c),\
	$(filter-out tests/bench/engine.c,$(wildcard tests/bench/*.c)))
BENCHES := $(patsubst %.c,$(B)/%,$(BENCH_SOURCES))

# Programs that are put under the daemon: no part of it is in them.
$(B)/tests/targets/%: tests/targets/%.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) -Iinclude -o $@ $< $(ALL_LDFLAGS)

# Lets calls to the system fail; written for x86-64 only.
FAULTS := $(if $(filter x86_64,$(ARCH)),$(B)/tests/faults/faults.so)
$(B)/tests/faults/faults.so: tests/faults/faults.c $(wildcard tests/faults/*)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) -std=gnu17 -Wall -Wextra -Werror -D_GNU_SOURCE -O2 -g \
		-fno-omit-frame-pointer -fPIC -shared -o $@ $<

# Simulations are of decisions.
$(B)/tests/sim/rounds: tests/sim/machine.c
$(B)/tests/sim/%: tests/sim/%.c $(call layer_archives,decide)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call layer_includes,decide) -iquote tests/sim \
		-o $@ $(filter %.c,$^) $(call layer_archives,decide) \
		$(ALL_LDFLAGS) $(call pkg_libs,cmocka)

# What placement decides, without a machine that has several nodes.
$(B)/tests/bench/placing: tests/bench/placing.c $(call layer_archives,decide)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call layer_includes,decide) -o $@ $< \
		$(call layer_archives,decide) $(ALL_LDFLAGS)

# Benchmarks of an engine see no more than engines do.
$(B)/tests/bench/%: tests/bench/%.c $(call layer_archives,checksum)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call layer_includes,checksum) -o $@ $< \
		$(call layer_archives,checksum) $(ALL_LDFLAGS) \
		$(call pkg_libs,$(call layer_pkgs,checksum))

# Contract and fuzz tests may see everything that the service sees.
$(B)/tests/contract/%: tests/contract/%.c $(call layer_archives,service)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call layer_includes,service) -o $@ $< \
		$(call layer_archives,service) $(ALL_LDFLAGS) \
		$(call pkg_libs,$(call layer_pkgs,service) cmocka)

$(B)/tests/fuzz/%: tests/fuzz/%.c $(call layer_archives,service)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(FUZZ_CFLAGS) $(call layer_includes,service) \
		-o $@ $< $(call layer_archives,service) $(ALL_LDFLAGS) \
		$(call pkg_libs,$(call layer_pkgs,service))

# What is to read a tree of files reads one that tests/fuzz/tree.h makes up.
TREE_WRAPS := -Wl$(foreach f,openat close read pread readlinkat fstat fstatat \
	fdopen fdopendir readdir closedir getpwuid_r,$(comma)--wrap=$(f))
$(addprefix $(B)/tests/fuzz/,accel proc request smaps unit): LDFLAGS += \
	$(subst $() ,,$(TREE_WRAPS))

# These parse what ksmd-plusctl alone reads.
$(addprefix $(B)/tests/fuzz/,client ksmtuned unit): $(B)/%: %.c \
		$(call layer_archives,ctl)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(FUZZ_CFLAGS) $(call layer_includes,ctl) \
		-o $@ $< $(call layer_archives,ctl) $(ALL_LDFLAGS) \
		$(call pkg_libs,$(call layer_pkgs,ctl))

# The model of the accelerator knows nothing of the daemon; what is to meet it
# in one process links dsa_ops of the model instead of the daemon's.
DSA_MODEL := $(patsubst %.c,$(B)/%.o,$(addprefix tests/dsa/,crc.c device.c \
	execute.c))
DSA_INSIDE := $(B)/tests/dsa/inside.o $(DSA_MODEL)
DSA_TESTS := $(if $(filter yes,$(DSA)),$(addprefix $(B)/tests/dsa/,device-test \
	engine-test random model ksmd-plus))

$(DSA_MODEL) $(addprefix $(B)/tests/dsa/,model.o device-test.o attach.o): \
		$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(addprefix $(B)/tests/dsa/,inside.o engine-test.o random.o): $(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call layer_includes,checksum) -c -o $@ $<

$(B)/tests/dsa/model $(B)/tests/dsa/device-test: %: %.o $(DSA_MODEL)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(call pkg_libs,cmocka)

$(B)/tests/dsa/engine-test $(B)/tests/dsa/random: %: %.o $(DSA_INSIDE) \
		$(call layer_archives,checksum)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) \
		$(call pkg_libs,$(call layer_pkgs,checksum) cmocka)

# The daemon with the model inside, the portal included.
$(B)/tests/dsa/ksmd-plus: $(B)/$(MAIN_ksmd-plus:.c=.o) $(DSA_INSIDE) \
		$(B)/tests/dsa/attach.o $(call layer_archives,service)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) \
		$(call pkg_libs,$(call layer_pkgs,service))
	@ln -sf ../../ksmd-plus-injector $(@D)/

$(B)/tests/bench/engine: tests/bench/engine.c $(DSA_INSIDE) \
		$(call layer_archives,checksum)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call layer_includes,checksum) \
		-iquote tests/dsa -o $@ $< $(DSA_INSIDE) \
		$(call layer_archives,checksum) $(ALL_LDFLAGS) \
		$(call pkg_libs,$(call layer_pkgs,checksum))

.PHONY: dsa-tests
dsa-tests: $(DSA_TESTS)

.PHONY: unit
unit: $(UNIT_TESTS)

.PHONY: tests
tests: all $(UNIT_TESTS) $(SIMS) $(CONTRACT_TESTS) $(TARGETS) $(BENCHES) \
	$(DSA_TESTS) $(FAULTS)

.PHONY: fuzz-tests
fuzz-tests: $(FUZZ_TESTS)

# The same with a fuzzer inside. Another B for each compiler: here B/fuzz.
.PHONY: fuzzers
fuzzers:
	@$(MAKE) --no-print-directory B=$(B)/fuzz CC=clang \
		SAN=-fsanitize=address,undefined,fuzzer-no-link \
		FUZZ_CFLAGS="-fsanitize=fuzzer -DFUZZ_LIBFUZZER" fuzz-tests

# And with counters of lines, for what the inputs that were found reach.
.PHONY: fuzz-lines
fuzz-lines:
	@$(MAKE) --no-print-directory B=$(B)/fuzz-lines CC=clang \
		SAN="-fprofile-instr-generate -fcoverage-mapping" fuzz-tests

# --- what people call ------------------------------------------------------

.DEFAULT_GOAL := all

# $(call need,PACKAGES): install those of which no alternative is there.
define need
@command -v dpkg-query >/dev/null || { \
	echo "  no dpkg here; needed, under their names here: $(1)"; exit 0; }; \
missing=; for word in $(foreach word,$(1),'$(word)'); do \
	dpkg-query -W -f '$${Status}\n' $$(echo "$$word" | tr '|' ' ') \
		2>/dev/null | grep -q ' ok installed' || \
		missing="$${missing:+$$missing, }$$(echo "$$word" | \
			sed 's/|/ | /g')"; \
done; \
test -z "$$missing" || { echo "  APT     $$missing"; \
	apt-get -q update && DEBIAN_FRONTEND=noninteractive \
	apt-get -q satisfy -y --no-install-recommends "$$missing"; }
endef

.PHONY: help
help:
	@echo "make          build"
	@echo "make demo     build, show it at work on real programs, leave no trace"
	@echo "              (DEMO=workers: no virtual machines; DEMO=vm: insist on them)"
	@echo "make test     build and run every test (as root)"
	@echo "make analyze  have cppcheck, gcc and clang-tidy read the source"
	@echo "make bench    measure it beside every rival (BENCH=\"NAME...\"; as root)"
	@echo "make matrix   the tests on other kernels, and without what this one offers"
	@echo "              (MATRIX=running: on this one alone; hours; as root)"
	@echo "make soak     half an hour of processes that come and go (as root)"
	@echo "make faults   let every call to the system fail once (as root)"
	@echo "make fuzz     FUZZ_SECONDS (60) of any input for each parser,"
	@echo "              or FUZZ_RUNS=N of them"
	@echo "make stress   programs of stress-ng, which verify themselves (as root)"
	@echo "make killstorm  kill it KILLS (5000) times at any moment (as root;"
	@echo "              SERVERS=yes installs PostgreSQL, Redis and nginx for it)"
	@echo "make deps     install the packages that building and testing need"
	@echo "BPF=no with any of them: no hints from reads of files, no libbpf"
	@echo "SECCOMP=no: no filter of the daemon's system calls, no libseccomp"
	@echo "make install  into PREFIX=$(PREFIX), below DESTDIR; make uninstall"
	@echo "make deb      a Debian package, in build/deb; make rpm, in build/rpm"
	@echo "make format   lay out all C files (clang-format 14)"
	@echo "make clean    remove build/"

.PHONY: deps
deps: deps-build deps-demo deps-test

.PHONY: deps-build deps-demo deps-vm deps-test deps-fresh deps-bench deps-deb \
	deps-rpm deps-storm
deps-build:
	$(call need,$(PACKAGES_BUILD))
deps-demo:
	$(call need,$(PACKAGES_DEMO))
deps-vm:
	$(call need,$(PACKAGES_VM))
deps-test:
	$(call need,$(PACKAGES_TEST))
deps-fresh:
	$(call need,$(PACKAGES_FRESH))
deps-deb:
	$(call need,$(PACKAGES_DEB))
deps-rpm:
	$(call need,$(PACKAGES_RPM))
deps-storm:
	@$(call need,$(PACKAGES_STORM)) || echo "  going on without"
# Only what draws and boots: the rest of the benchmark runs without.
deps-bench:
	@$(call need,$(PACKAGES_BENCH)) || echo "  going on without"

PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: demo
demo: deps-build deps-demo $(if $(filter vm,$(DEMO)),deps-vm)
	@$(MAKE) --no-print-directory $(PARALLEL) all
	@KSMD_PLUS_BUILD=$(B) tests/demo/demo.py $(DEMO)

.PHONY: test
test: deps-build deps-test
	@tests/run

# What reads the source for faults; test has the quick ones of it.
.PHONY: analyze
analyze: deps-build deps-test
	$(call need,clang-tidy)
	@ANALYZE=all tests/run --only '^analyze/'

.PHONY: bench
bench: deps-build deps-demo deps-bench
	@$(MAKE) --no-print-directory $(PARALLEL) all $(TARGETS) $(BENCHES) \
		$(B)/tests/contract/inject
	@KSMD_PLUS_BUILD=$(B) tests/bench/bench.py $(BENCH)

.PHONY: matrix
matrix: deps-build deps-demo $(if $(filter running,$(MATRIX)),,deps-vm)
	@$(MAKE) --no-print-directory $(PARALLEL) all tests
	@KSMD_PLUS_BUILD=$(B) MATRIX=$(or $(MATRIX),all) \
		tests/integration/matrix.py

.PHONY: soak
soak: deps-build deps-demo
	@$(MAKE) --no-print-directory $(PARALLEL) all $(TARGETS)
	@KSMD_PLUS_BUILD=$(B) SOAK_SECONDS=1800 tests/integration/soak.py

.PHONY: faults
faults: deps-build deps-demo
	@$(MAKE) --no-print-directory $(PARALLEL) all $(TARGETS) $(FAULTS)
	@KSMD_PLUS_BUILD=$(B) FAULTS=all tests/integration/faults.py

.PHONY: fuzz
fuzz: deps-build deps-test
	$(call need,llvm)
	@$(MAKE) --no-print-directory $(PARALLEL) fuzzers fuzz-lines
	@KSMD_PLUS_BUILD=$(B) FUZZ_RUNS=$(FUZZ_RUNS) \
		FUZZ_SECONDS=$(or $(FUZZ_SECONDS),$(if $(FUZZ_RUNS),,60)) \
		tests/fuzz/run

.PHONY: stress
stress: deps-build deps-demo
	$(call need,stress-ng)
	@$(MAKE) --no-print-directory $(PARALLEL) all $(TARGETS)
	@KSMD_PLUS_BUILD=$(B) STRESSORS=$${STRESSORS:-all} \
		tests/integration/stressors.py

.PHONY: killstorm
killstorm: deps-build deps-demo deps-storm
	@$(MAKE) --no-print-directory $(PARALLEL) all $(TARGETS)
	@KSMD_PLUS_BUILD=$(B) KILLS=$${KILLS:-5000} tests/integration/kills.py

MAN_PAGES := $(wildcard man/*.[1-8])
UNITS := $(wildcard systemd/*.service systemd/*.timer)
man_path = $(mandir)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
# Files that are installed as they are, as SOURCE:PATH. Those for machines with
# a Data Streaming Accelerator are explained in the manual.
DATA := $(foreach page,$(MAN_PAGES),$(page):$(call man_path,$(page))) \
	etc/bash-completion/ksmd-plusctl:$(bashcompletiondir)/ksmd-plusctl \
	etc/zsh-completion/_ksmd-plusctl:$(zshcompletiondir)/_ksmd-plusctl \
	$(foreach name,ksmd-plus ksmd-plusctl, \
	etc/fish-completion/$(name).fish:$(fishcompletiondir)/$(name).fish) \
	etc/60-ksmd-plus-dsa.rules:$(datadir)/ksmd-plus/60-ksmd-plus-dsa.rules \
	etc/grafana/ksmd-plus.json:$(datadir)/ksmd-plus/grafana/ksmd-plus.json \
	systemd/ksmd-plus.catalog:$(CATALOGDIR)/ksmd-plus.catalog \
	systemd/ksmd-plus.preset:$(PRESETDIR)/90-ksmd-plus.preset \
	systemd/ksmd-plus.sysusers:$(SYSUSERSDIR)/ksmd-plus.conf \
	etc/dbus/org.ksmdplus1.conf:$(DBUSDIR)/system.d/org.ksmdplus1.conf \
	$(foreach name,org.ksmdplus1.Manager.xml, \
	etc/dbus/$(name):$(DBUSDIR)/interfaces/$(name)) \
	etc/polkit/org.ksmdplus1.policy:$(POLKITDIR)/org.ksmdplus1.policy
INSTALLED := $(sbindir)/ksmd-plus $(bindir)/ksmd-plusctl \
	$(libexecdir)/ksmd-plus/ksmd-plus-injector \
	$(datadir)/ksmd-plus/ksmd-plus-dsa.sh \
	$(foreach unit,$(UNITS),$(UNITDIR)/$(notdir $(unit))) \
	$(foreach pair,$(DATA),$(lastword $(subst :, ,$(pair))))
CONF := $(DESTDIR)$(sysconfdir)/ksmd-plus.conf

# An edited configuration stays; the new one is put beside it.
.PHONY: install
install: all
	$(INSTALL_PROGRAM) -D $(B)/ksmd-plus $(DESTDIR)$(sbindir)/ksmd-plus
	$(INSTALL_PROGRAM) -D $(B)/ksmd-plusctl $(DESTDIR)$(bindir)/ksmd-plusctl
	$(INSTALL_PROGRAM) -D $(B)/ksmd-plus-injector \
		$(DESTDIR)$(libexecdir)/ksmd-plus/ksmd-plus-injector
	$(INSTALL) -D etc/ksmd-plus-dsa.sh \
		$(DESTDIR)$(datadir)/ksmd-plus/ksmd-plus-dsa.sh
	$(foreach pair,$(DATA),$(INSTALL_DATA) -D \
		$(subst :, $(DESTDIR),$(pair)) &&) :
	$(INSTALL) -d $(DESTDIR)$(UNITDIR)
	$(foreach unit,$(UNITS),sed -e 's|=/usr/sbin/|=$(sbindir)/|' \
		-e 's|=/usr/bin/|=$(bindir)/|' $(unit) \
		>$(DESTDIR)$(UNITDIR)/$(notdir $(unit)) &&) :
	$(INSTALL) -d $(CONF).d
	@if [ ! -e $(CONF) ] || cmp -s etc/ksmd-plus.conf $(CONF); then \
		$(INSTALL_DATA) etc/ksmd-plus.conf $(CONF); \
	else \
		$(INSTALL_DATA) etc/ksmd-plus.conf $(CONF).new; \
		echo "$(CONF) differs and is kept; see $(CONF).new"; \
	fi
	@test -n "$(DESTDIR)" || ! command -v journalctl >/dev/null || \
		journalctl --update-catalog || :
	@test -n "$(DESTDIR)" || ! command -v systemd-sysusers >/dev/null || \
		systemd-sysusers ksmd-plus.conf || :
	@test -n "$(DESTDIR)" || echo "next: ksmd-plusctl doctor;" \
		"systemctl daemon-reload && systemctl enable --now ksmd-plus"

# What somebody has written into the configuration stays.
.PHONY: uninstall
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED)) $(CONF).new
	-rmdir $(DESTDIR)$(libexecdir)/ksmd-plus \
		$(DESTDIR)$(datadir)/ksmd-plus/grafana \
		$(DESTDIR)$(datadir)/ksmd-plus
	@if cmp -s etc/ksmd-plus.conf $(CONF); then rm -f $(CONF); fi
	@rmdir $(CONF).d 2>/dev/null || test ! -e $(CONF).d || \
		echo "$(CONF).d is not empty and is kept"

# One shape for all C files; the check in tests/house wants this version.
.PHONY: format
format:
	clang-format-14 -i $(shell git ls-files '*.c' '*.h')

include etc/packaging/packages.mk

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(B)/daemon $(B)/tests -name '*.d' 2>/dev/null)
