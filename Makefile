# ibrik: build, run, test. `make help` lists the targets.
#
# Everything is built into build/. Sources are found by folder: a new .c file in a
# room is compiled without a line here. The kernel is built with KERNEL_CFLAGS,
# the host command with HOST_CFLAGS.

BUILD   := build
ARCH    := x86_64
CC      := gcc
APP     ?= $(BUILD)/hello.jar
PREFIX  ?= /usr/local
V       ?= 0
Q       := $(if $(filter 0,$(V)),@)

# The last commit that changed the kernel, and whether its sources have been changed since.
KERNEL_SOURCES := kernel mm jvm Makefile
VERSION := $(shell git log -1 --abbrev=7 --format=%h -- $(KERNEL_SOURCES) 2>/dev/null | grep . || echo unknown)$(shell \
	git diff --quiet HEAD -- $(KERNEL_SOURCES) 2>/dev/null || echo -dirty)

# --- kernel -----------------------------------------------------------------
KERNEL_DIRS := kernel/arch/$(ARCH) kernel/core kernel/linux kernel/fs kernel/net \
               kernel/drivers kernel/lib mm balloon jvm
KERNEL_SRCS := $(foreach d,$(KERNEL_DIRS),$(wildcard $(d)/*.c $(d)/*.S))
KERNEL_OBJS := $(patsubst %,$(BUILD)/kernel/%.o,$(KERNEL_SRCS))
KERNEL_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
	-Wmissing-prototypes -Wstrict-prototypes -Wimplicit-fallthrough \
	-ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-common \
	-fno-strict-aliasing -fno-delete-null-pointer-checks -fwrapv \
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fcf-protection=none \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-jump-tables \
	-ffunction-sections -fdata-sections -nostdinc \
	-isystem $(shell $(CC) -print-file-name=include) \
	-idirafter /usr/include -idirafter /usr/include/$(shell $(CC) -dumpmachine) -I. -Ikernel -Ikernel/arch/$(ARCH) \
	$(KERNEL_EXTRA)
KERNEL_LDS := kernel/arch/$(ARCH)/kernel.lds

# zlib's inflate, from its upstream source: never committed, pinned by its hash. The sources expect a C
# library only by name, so the kernel's own string.h is put in front of them.
ZLIB_SHA256 := 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1
ZLIB := $(BUILD)/third_party/zlib
ZLIB_OBJS := $(patsubst %,$(ZLIB)/%.o,inflate inftrees inffast adler32 zutil)
ZLIB_FLAGS := -DZ_SOLO -DNO_GZIP -DHAVE_MEMCPY -include kernel/lib/string.h

# lwIP, likewise: what of it is compiled and how stands in kernel/net/port/lwipopts.h.
LWIP_SHA256 := 83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1
LWIP := $(BUILD)/third_party/lwip
LWIP_NAMES := $(addprefix core/,def inet_chksum init ip mem memp netif pbuf raw stats tcp tcp_in tcp_out timeouts udp) \
	$(addprefix core/ipv4/,etharp icmp igmp ip4 ip4_addr ip4_frag) \
	$(addprefix core/ipv6/,ethip6 icmp6 inet6 ip6 ip6_addr ip6_frag mld6 nd6) netif/ethernet
LWIP_OBJS := $(patsubst %,$(LWIP)/src/%.o,$(LWIP_NAMES))
LWIP_FLAGS := -isystem $(LWIP)/src/include -Ikernel/net/port
KERNEL_THIRD_PARTY := $(ZLIB_OBJS) $(LWIP_OBJS)

.PHONY: all kernel tool api run test matrix servers bench fuzz install clean help deps
all: kernel tool api

kernel: $(BUILD)/ibrik.elf

# One file holds the version, and is compiled again when that is another one.
$(shell mkdir -p $(BUILD) && { echo '$(VERSION)' | cmp -s - $(BUILD)/version || echo '$(VERSION)' > $(BUILD)/version; })
$(BUILD)/kernel/kernel/core/version.c.o: $(BUILD)/version
$(BUILD)/kernel/kernel/core/version.c.o: KERNEL_CFLAGS += -DIBRIK_VERSION_TEXT='"$(VERSION)"'

$(BUILD)/kernel/%.c.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_CFLAGS) -MD -MP -c $< -o $@
	$(Q)! readelf -rW $@ | awk '/^Reloc/ { short = /\.rela\.text\.short/ } short && (/_PLT32/ || (/_PC32/ && $$5 ~ /^\.text/))' | grep . || \
		{ echo "$<: a short call calls or jumps out of its section (kernel/arch/$(ARCH)/gate.h)" >&2; rm $@; exit 1; }

$(BUILD)/kernel/%.S.o: %.S Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_CFLAGS) -D__ASSEMBLER__ -MD -MP -c $< -o $@

-include $(KERNEL_OBJS:.o=.d)

# The vDSO is code of the application, an ELF shared object of its own inside the kernel.
VDSO_SRCS := $(wildcard kernel/vdso/*.c kernel/arch/$(ARCH)/vdso/*.S)
VDSO_FLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-unused-parameter -ffreestanding -fPIC -fno-stack-protector \
	-fcf-protection=none -fno-jump-tables -fasynchronous-unwind-tables -mgeneral-regs-only -Ikernel -shared -nostdlib \
	-Wl,-T,kernel/vdso/vdso.lds -Wl,-soname,linux-vdso.so.1 -Wl,-z,defs -Wl,--hash-style=both -Wl,--eh-frame-hdr \
	-Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -s

$(BUILD)/kernel/vdso.so: $(VDSO_SRCS) $(wildcard kernel/vdso/*.h) kernel/lib/figures.h kernel/linux/kcalls.h kernel/vdso/vdso.lds Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(VDSO_FLAGS) $(VDSO_SRCS) -o $@

$(BUILD)/kernel/kernel/linux/vdso_image.S.o: $(BUILD)/kernel/vdso.so
$(BUILD)/kernel/kernel/linux/vdso_image.S.o: KERNEL_CFLAGS += -DVDSO_FILE='"$(BUILD)/kernel/vdso.so"'

$(ZLIB)/zlib.h: images/apt.sh
	@mkdir -p $(BUILD)/third_party
	$(Q)file=$$(images/apt.sh source host $(BUILD)/third_party zlib 'zlib_*.orig.tar.*' $(ZLIB_SHA256)) && \
		rm -rf $(ZLIB) && mkdir -p $(ZLIB) && tar -xf "$$file" -C $(ZLIB) --strip-components=1
	@touch $@

$(ZLIB_OBJS): $(ZLIB)/%.o: $(ZLIB)/zlib.h Makefile
	$(Q)$(CC) $(filter-out -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes,$(KERNEL_CFLAGS)) \
		-w $(ZLIB_FLAGS) -c $(ZLIB)/$*.c -o $@

$(BUILD)/kernel/kernel/lib/inflate.c.o: $(ZLIB)/zlib.h
$(BUILD)/kernel/kernel/lib/inflate.c.o: KERNEL_CFLAGS += -DZ_SOLO -isystem $(ZLIB)

$(LWIP)/src/include/lwip/init.h: images/apt.sh
	@mkdir -p $(BUILD)/third_party
	$(Q)file=$$(images/apt.sh source next $(BUILD)/third_party lwip 'lwip_*.orig.tar.*' $(LWIP_SHA256)) && \
		rm -rf $(LWIP) && mkdir -p $(LWIP) && tar -xf "$$file" -C $(LWIP) --strip-components=1
	@touch $@

$(LWIP_OBJS): $(LWIP)/%.o: $(LWIP)/src/include/lwip/init.h $(wildcard kernel/net/port/*.h kernel/net/port/arch/*.h) Makefile
	$(Q)$(CC) $(filter-out -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes,$(KERNEL_CFLAGS)) \
		-w $(LWIP_FLAGS) -include kernel/lib/string.h -c $(LWIP)/$*.c -o $@

LWIP_USERS := $(patsubst %,$(BUILD)/kernel/%.o,$(wildcard kernel/net/*.c) kernel/drivers/virtio_net.c)
$(LWIP_USERS): $(LWIP)/src/include/lwip/init.h
$(LWIP_USERS): KERNEL_CFLAGS += $(LWIP_FLAGS)

# --- tests ------------------------------------------------------------------
# make test T=pattern runs a part: a family, family:name, or a topic of the ABI.
test:
	@tests/deps.sh test
	@$(MAKE) --no-print-directory all net-tests
	@tests/run suite "$(T)"

fuzz:
	@tests/deps.sh test
	@tests/run fuzz "$(T)"

matrix:
	@tests/deps.sh matrix
	@$(MAKE) --no-print-directory all
	@tests/matrix

# Servers and clients that nobody here wrote, each in a machine; T=tomcat runs one, JDK=21 takes another JDK.
servers:
	@tests/deps.sh servers
	@$(MAKE) --no-print-directory all net-tests
	@tests/run servers "$(T)"

# The link that suffers, the program at both of its ends, and a client with many connections (tests/net/).
NET_TESTS := $(patsubst %,$(BUILD)/test/net/%,relay peer crowd)
net-tests: $(NET_TESTS)
.PHONY: net-tests

$(BUILD)/test/net/relay: $(patsubst %,tests/net/%.c,relay frames hostile talk dhcp) $(wildcard tests/net/*.h) Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) $(filter %.c,$^) -o $@

$(BUILD)/test/net/peer: tests/net/peer.c tests/net/bytes.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -pthread $< -o $@

$(BUILD)/test/net/crowd: tests/net/crowd.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) $< -o $@

# make bench [SUITE=boot|syscall|switch|memory|file|java|net|locks]: beside a Linux guest, into build/bench/.
bench:
	@tests/deps.sh bench
	@$(MAKE) --no-print-directory all
	@bench/run $(SUITE)

# Two links: the first gives the addresses, from which the table of symbols for backtraces is made; the
# table lies behind all code, so that the second link does not move a function. WRAPPED: functions of lwIP before which the kernel puts its own
# (kernel/net/tcp_conn.c, path_mtu.c, icmp_rate.c).
WRAPPED := tcp_input tcp_split_unsent_seg icmp_dest_unreach icmp_time_exceeded icmp6_dest_unreach icmp6_time_exceeded_with_addrs icmp6_param_problem
LINK := $(CC) -nostdlib -static -no-pie -Wl,-T,$(KERNEL_LDS) -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	-Wl,--gc-sections -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments $(WRAPPED:%=-Wl,--wrap=%)

$(BUILD)/kernel/stage1.elf: $(KERNEL_OBJS) $(KERNEL_THIRD_PARTY) $(KERNEL_LDS)
	$(Q)$(LINK) $(KERNEL_OBJS) $(KERNEL_THIRD_PARTY) -o $@

$(BUILD)/kernel/symbols.S: $(BUILD)/kernel/stage1.elf kernel/arch/symbols.awk
	$(Q)nm -n $< | awk -f kernel/arch/symbols.awk > $@

$(BUILD)/ibrik.debug.elf: $(BUILD)/kernel/symbols.S
	$(Q)$(CC) -c $< -o $(BUILD)/kernel/symbols.o
	$(Q)$(LINK) $(KERNEL_OBJS) $(KERNEL_THIRD_PARTY) $(BUILD)/kernel/symbols.o -o $@

$(BUILD)/ibrik.elf: $(BUILD)/ibrik.debug.elf
	$(Q)strip -s -o $@ $<

# --- the host command -------------------------------------------------------
HOST_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE
TOOL_OBJS := $(patsubst %.c,$(BUILD)/tool/%.o,$(wildcard images/*.c))
TOOL_DATA := $(BUILD)/boot.bin $(BUILD)/tcg-reread.so $(patsubst images/%,$(BUILD)/%,$(wildcard images/*.sh images/*.py))

tool: $(BUILD)/ibrik $(TOOL_DATA)

$(BUILD)/tool/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

-include $(TOOL_OBJS:.o=.d)

$(BUILD)/ibrik: $(TOOL_OBJS)
	$(Q)$(CC) $(TOOL_OBJS) -lz -o $@

$(filter %.sh %.py,$(TOOL_DATA)): $(BUILD)/%: images/%
	@mkdir -p $(BUILD)
	$(Q)install -m 755 $< $@

# A plugin for QEMU, which finds it beside the command.
$(BUILD)/tcg-reread.so: images/tcg/reread.c images/tcg/plugin.h Makefile
	@mkdir -p $(BUILD)
	$(Q)$(CC) $(HOST_CFLAGS) -fPIC -shared -fvisibility=hidden -o $@ $<

# --- the Java API to kernel functions: a jar for applications, with its JNI library inside ---------------
api: $(BUILD)/ibrik-kernel.jar
API_SRCS := $(wildcard jvm/api/ibrik/*.java)
JNI_HOME = $(patsubst %/bin/javac,%,$(realpath $(shell command -v javac)))

$(BUILD)/ibrik-kernel.jar: $(API_SRCS) jvm/api/jni.c jvm/api/manifest kernel/vdso/exports.h Makefile
	@rm -rf $(BUILD)/api && mkdir -p $(BUILD)/api/ibrik
	$(Q)javac --release 17 -Xlint:all -Werror -d $(BUILD)/api $(API_SRCS)
	$(Q)$(CC) $(HOST_CFLAGS) -fPIC -shared -fvisibility=hidden -s -Ikernel -I$(JNI_HOME)/include -I$(JNI_HOME)/include/linux \
		-o $(BUILD)/api/ibrik/libibrik-jni.so jvm/api/jni.c
	$(Q)jar --create --file $@ --manifest jvm/api/manifest -C $(BUILD)/api .

BOOT_CFLAGS := -m32 --param=min-pagesize=0 -march=i386 -Os -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments

$(BUILD)/boot.bin: images/boot/start.S images/boot/load.c images/boot/boot.lds images/xxh64.c images/format.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_CFLAGS) -Wl,-T,images/boot/boot.lds $(filter %.S %.c,$^) -o $(BUILD)/boot.elf
	$(Q)objcopy -O binary $(BUILD)/boot.elf $@

# The examples, each one class: images/examples/NAME becomes build/NAME.jar.
$(BUILD)/hello.jar: images/examples/hello/Hello.java images/examples/hello/manifest
$(BUILD)/service.jar: images/examples/service/Service.java images/examples/service/manifest
$(BUILD)/hello.jar $(BUILD)/service.jar: $(BUILD)/%.jar:
	@mkdir -p $(BUILD)/$*
	$(Q)javac --release 17 -d $(BUILD)/$* $<
	$(Q)jar --create --file $@ --manifest images/examples/$*/manifest -C $(BUILD)/$* .

deps:
	@tests/deps.sh run

# Everything from nothing: packages, kernel and command, then the application.
run:
	@tests/deps.sh run
	@$(MAKE) -s --no-print-directory all $(APP)
	@$(BUILD)/ibrik run $(RUN_OPTIONS) $(APP) $(ARGS)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/ibrik
	install -m 755 $(BUILD)/ibrik $(DESTDIR)$(PREFIX)/bin/ibrik
	install -m 644 $(BUILD)/ibrik.elf $(BUILD)/ibrik.debug.elf $(BUILD)/ibrik-kernel.jar $(TOOL_DATA) $(DESTDIR)$(PREFIX)/lib/ibrik
	chmod 755 $(DESTDIR)$(PREFIX)/lib/ibrik/*.sh

help:
	@echo 'make            build the kernel, the command and the Java API into $(BUILD)/'
	@echo 'make run        install what is needed, then boot the example; APP=path/to.jar ARGS="..." another'
	@echo 'make test       the suite; T=name runs a part'
	@echo 'make matrix     every combination, resumable; rows in docs/matrix.tsv'
	@echo 'make servers    stock servers and clients, each in a machine; T=name one of them, JDK=21 another JDK'
	@echo 'make bench      measurements into docs/benchmarks.md'
	@echo 'make fuzz       the fuzzers'
	@echo 'make install    PREFIX=/usr/local: bin/ibrik and lib/ibrik/'
	@echo 'make clean      remove $(BUILD)/'

clean:
	rm -rf $(BUILD)

# docs/abi.md is made from the list of system calls, a table of docs/jvm.md from that of exported functions; `make abi` after
# changing one of them.
abi:
	$(Q)awk -f kernel/linux/abi.awk /usr/include/$(shell $(CC) -dumpmachine)/asm/unistd_64.h \
		kernel/linux/syscalls.def > docs/abi.md
	$(Q)awk -f kernel/vdso/figures.awk kernel/vdso/exports.h docs/jvm.md > $(BUILD)/jvm.md && cat $(BUILD)/jvm.md > docs/jvm.md
.PHONY: abi
