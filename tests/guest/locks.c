/*
 * tests/guest/locks.c - locks on files: of a process, of an open file, and flock().
 */
#include "harness.h"
#include "waits.h"
#include <sys/file.h>

TEST(a_record_lock_of_the_same_process_does_not_conflict)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
	int a = scratch_file("lock", "0123456789", 10), b = CHECK_OK(open(scratch("lock"), O_RDWR));

	CHECK_OK(fcntl(a, F_SETLK, &fl));
	CHECK_OK(fcntl(b, F_SETLK, &fl));
	CHECK_OK(fcntl(b, F_GETLK, &fl));
	CHECK_EQ(fl.l_type, F_UNLCK);
	fl.l_type = F_UNLCK;
	CHECK_OK(fcntl(a, F_SETLK, &fl));
	fl.l_type = 99;
	CHECK_ERR(fcntl(a, F_SETLK, &fl), EINVAL);
	fl = (struct flock){ .l_type = F_WRLCK, .l_whence = 9 };
	CHECK_ERR(fcntl(a, F_SETLK, &fl), EINVAL);
	CHECK_EQ(sys(SYS_fcntl, a, F_SETLK, BAD_PTR), -EFAULT);
	close(b);
	b = CHECK_OK(open(scratch("lock"), O_RDONLY));
	fl = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK_ERR(fcntl(b, F_SETLK, &fl), EBADF);
}

TEST(open_file_description_locks_conflict)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 5 }, got;
	int a = scratch_file("ofd", "0123456789", 10), b = CHECK_OK(open(scratch("ofd"), O_RDWR));

	CHECK_OK(fcntl(a, F_OFD_SETLK, &fl));
	CHECK_ERR(fcntl(b, F_OFD_SETLK, &fl), EAGAIN);
	got = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100 };
	CHECK_OK(fcntl(b, F_OFD_GETLK, &got));
	CHECK_EQ(got.l_type, F_WRLCK);
	CHECK_EQ(got.l_start, 5);
	CHECK_EQ(got.l_len, 5);
	CHECK_EQ(got.l_pid, -1);
	fl.l_start = 0; /* 0-4 is free */
	CHECK_OK(fcntl(b, F_OFD_SETLK, &fl));
	close(a); /* ends its locks */
	fl.l_start = 5;
	CHECK_OK(fcntl(b, F_OFD_SETLK, &fl));
}

TEST(flock_excludes_other_open_files)
{
	int a = scratch_file("flock", "", 0), b = CHECK_OK(open(scratch("flock"), O_RDWR)), c = dup(a);

	CHECK_OK(flock(a, LOCK_EX));
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK_OK(flock(c, LOCK_EX | LOCK_NB)); /* the same open file */
	CHECK_OK(flock(a, LOCK_SH));
	CHECK_OK(flock(b, LOCK_SH | LOCK_NB));
	CHECK_ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_OK(flock(b, LOCK_UN));
	CHECK_ERR(flock(a, 77), EINVAL);
	CHECK_ERR(flock(999, LOCK_SH), EBADF);
}

/* Of two that share a lock and want it alone, the one that is refused has let it go. */
TEST(a_refused_change_of_a_flock_gives_the_old_one_up)
{
	int a = scratch_file("upgrade", "", 0), b = CHECK_OK(open(scratch("upgrade"), O_RDWR));

	CHECK_OK(flock(a, LOCK_SH));
	CHECK_OK(flock(b, LOCK_SH));
	CHECK_ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
	/* What is refused as the same kind that is there takes nothing away. */
	CHECK_ERR(flock(a, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
	CHECK_ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	close(a);
	close(b);
}

static int lock_fd;

static void *take_lock(void *arg)
{
	(void)arg;
	return (void *)(long)flock(lock_fd, LOCK_EX);
}

TEST(flock_waits_until_the_holder_closes)
{
	int a = scratch_file("flock2", "", 0);
	pthread_t thread;
	void *got = (void *)9;

	lock_fd = CHECK_OK(open(scratch("flock2"), O_RDWR));
	CHECK_OK(flock(a, LOCK_EX));
	thread = thread_start(take_lock, NULL);
	sleep_ms(50);
	CHECK_EQ(pthread_tryjoin_np(thread, &got), EBUSY);
	close(a);
	pthread_join(thread, &got);
	CHECK(got == NULL);
}

static long call_setlkw(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLKW, &fl);
}

/* Its own close() came before the lock was there, so it could not end it. */
TEST(a_record_lock_that_comes_after_its_descriptor_was_closed_is_not_kept)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int holder = scratch_file("closed", "0123456789", 10), other = CHECK_OK(open(scratch("closed"), O_RDWR));
	struct blocked b = { .call = call_setlkw, .fd = CHECK_OK(open(scratch("closed"), O_RDWR)) };

	CHECK_OK(fcntl(holder, F_OFD_SETLK, &fl));
	blocked_start(&b);
	CHECK_OK(close(b.fd));
	CHECK_ERR(fcntl(other, F_OFD_SETLK, &fl), EAGAIN);
	fl.l_type = F_UNLCK;
	CHECK_OK(fcntl(holder, F_OFD_SETLK, &fl));
	blocked_end(&b, -1, EBADF);
	fl.l_type = F_WRLCK;
	CHECK_OK(fcntl(other, F_OFD_SETLK, &fl));
	close(other);
	close(holder);
}

TEST_MAIN("locks")
