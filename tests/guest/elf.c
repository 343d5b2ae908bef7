/*
 * tests/guest/elf.c - how a program is loaded; built in several ways (see elf.sh): VARIANT names the way, LINKED
 * says that the library is linked, STATIC that nothing is dynamic.
 */
#include "harness.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

static int constructed;
static char zeroes[100000];
static long initialised[3] = { 1, 2, 3 };
static long *const relocated = &initialised[1];
static __thread long local = 55;
static __thread long local_zero;

__attribute__((constructor)) static void construct(void)
{
	constructed++;
}

TEST(constructors_ran_once_before_main)
{
	CHECK_EQ(constructed, 1);
}

TEST(data_bss_and_relocations_are_in_place)
{
	for (unsigned i = 0; i < sizeof(zeroes); i++)
		CHECK_EQ(zeroes[i], 0);
	zeroes[sizeof(zeroes) - 1] = 1;
	CHECK_EQ(initialised[2], 3);
	CHECK_EQ(*relocated, 2);
}

static void *see_locals(void *arg)
{
	long ok = local == 55 && local_zero == 0;

	(void)arg;
	local = local_zero = 9;
	return (void *)ok;
}

TEST(thread_local_storage_is_fresh_in_every_thread)
{
	void *ok;

	local = 1;
	for (int i = 0; i < 5; i++) {
		pthread_join(thread_start(see_locals, NULL), &ok);
		CHECK(ok);
	}
	CHECK_EQ(local, 1);
}

TEST(read_only_data_and_text_are_protected)
{
	static const char constant[] = "constant";

	CHECK_FAULT(fault_write, (void *)constant, SIGSEGV, SEGV_ACCERR);
	CHECK_FAULT(fault_write, (void *)(uintptr_t)construct, SIGSEGV, SEGV_ACCERR);
	CHECK_FAULT(fault_call, initialised, SIGSEGV, SEGV_ACCERR);
}

TEST(program_headers_of_the_auxiliary_vector_describe_this_program)
{
	const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR);
	unsigned long n = getauxval(AT_PHNUM), base = 0;
	bool covered = false;

	/* The headers lie behind the ELF header in the segment that maps the start of the file. */
	for (unsigned long i = 0; i < n; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0)
			base = (unsigned long)ph - sizeof(Elf64_Ehdr) - ph[i].p_vaddr;
	for (unsigned long i = 0; i < n; i++)
		covered |= ph[i].p_type == PT_LOAD && (unsigned long)construct - base >= ph[i].p_vaddr &&
			   (unsigned long)construct - base < ph[i].p_vaddr + ph[i].p_memsz;
	CHECK(n > 2);
	CHECK(covered);
#ifdef STATIC
	CHECK_EQ(getauxval(AT_BASE), 0);
#else
	CHECK(getauxval(AT_BASE) != 0);
#endif
}

TEST(the_stack_is_aligned_and_holds_the_arguments)
{
	char text[4096];
	long n = read_file("/proc/self/cmdline", text, sizeof(text));

	CHECK(n > 0);
	CHECK_STR(text, program_invocation_name);
	CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
}

TEST(signals_and_exceptions_of_the_c_library_work)
{
	sigjmp_buf env;
	volatile int n = 0;

	if (sigsetjmp(env, 1) == 0) {
		n++;
		siglongjmp(env, 1);
	}
	CHECK_EQ(n, 1);
	CHECK_FAULT(fault_read, NULL, SIGSEGV, SEGV_MAPERR);
}

TEST(the_address_of_the_program_fits_its_kind)
{
	uintptr_t here = (uintptr_t)construct;

#ifdef FIXED
	CHECK(here >= 0x400000 && here < 0x1000000);
#else
	/* Above the 36 GiB that compressed object pointers want. */
	CHECK(here > 0x900000000ul);
#endif
}

#ifdef LINKED
extern __thread long lib_local;
extern long lib_local_swap(long value);
extern int lib_constructed(void);

static void *see_lib_local(void *arg)
{
	(void)arg;
	return (void *)(long)(lib_local == 1234 && lib_local_swap(5) == 1234 && lib_local == 5);
}

TEST(a_linked_library_has_its_constructor_and_thread_locals)
{
	void *ok;

	CHECK_EQ(lib_constructed(), 77);
	for (int i = 0; i < 3; i++) {
		pthread_join(thread_start(see_lib_local, NULL), &ok);
		CHECK(ok);
	}
}
#endif

#ifndef STATIC
static long (*swap_of)(long);

static void *see_opened_local(void *arg)
{
	(void)arg;
	return (void *)(long)(swap_of(7) == 1234 && swap_of(8) == 8);
}

TEST(an_opened_library_brings_thread_locals_to_running_threads)
{
	static int destroyed;
	void *handle = dlopen("libopened.so", RTLD_NOW | RTLD_LOCAL), *ok;
	int (*constructed_of)(void);
	int **destroyed_at;

	if (!handle)
		FAIL("dlopen: %s", dlerror());
	constructed_of = (int (*)(void))(uintptr_t)dlsym(handle, "lib_constructed");
	swap_of = (long (*)(long))(uintptr_t)dlsym(handle, "lib_local_swap");
	destroyed_at = dlsym(handle, "lib_destroyed");
	CHECK(constructed_of && swap_of && destroyed_at);
	CHECK_EQ(constructed_of(), 77);
	CHECK_EQ(swap_of(6), 1234);
	for (int i = 0; i < 3; i++) {
		pthread_join(thread_start(see_opened_local, NULL), &ok);
		CHECK(ok);
	}
	*destroyed_at = &destroyed;
	CHECK_EQ(dlclose(handle), 0);
	CHECK_EQ(destroyed, 88);
}

TEST(a_missing_library_is_an_error_and_not_the_end)
{
	CHECK(!dlopen("libnothing-of-that-name.so", RTLD_NOW));
	CHECK(strstr(dlerror(), "cannot open"));
	CHECK(!dlopen("/proc/self/status", RTLD_NOW));
	CHECK(dlerror());
}

static int count_objects(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	++*(int *)arg;
	return 0;
}

TEST(the_unwinder_sees_program_libc_and_vdso)
{
	int n = 0;

	dl_iterate_phdr(count_objects, &n);
	CHECK(n >= 3);
	CHECK(dlsym(RTLD_DEFAULT, "malloc"));
}
#endif

TEST_MAIN("elf-" VARIANT)
