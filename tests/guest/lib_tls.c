/*
 * tests/guest/lib_tls.c - a shared object with thread-local storage, a constructor and a destructor; built twice:
 * linked to elf.c, and opened by it.
 */
__thread long lib_local = 1234;
__thread char lib_local_zero[5000];
static int constructed;
int *lib_destroyed;

__attribute__((constructor)) static void construct(void)
{
	constructed = 77;
}

__attribute__((destructor)) static void destroy(void)
{
	if (lib_destroyed)
		*lib_destroyed = 88;
}

int lib_constructed(void)
{
	return constructed;
}

long lib_local_swap(long value)
{
	long old = lib_local;

	lib_local = value;
	lib_local_zero[4999]++;
	return old + lib_local_zero[4999] - 1;
}
