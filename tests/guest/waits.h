/*
 * tests/guest/waits.h - calls that wait, and what ends them.
 *
 * Theory: what is to end a wait must not come before it, or the case proves nothing. The kernel tells when a thread has gone to
 * sleep (the state in its stat), so that is waited for, rather than a time that ought to do.
 *
 * Interface:
 *   wait_asleep()      until a thread sleeps
 *   blocked_start()    makes a call on a thread of its own and waits until that sleeps
 *   blocked_restarts() sends it a signal that must not end it
 *   blocked_end()      waits for the end of the call, which must have this result (and errno, when it failed)
 *   on_wake()          a handler that counts its signals in `wakes`
 *   main_thread_blocks()  keeps signals to the process from the harness's main thread, which would take most of them
 */
#ifndef TESTS_GUEST_WAITS_H
#define TESTS_GUEST_WAITS_H

#include "harness.h"
#include <sys/epoll.h>
#include <sys/socket.h>

static _Atomic int wakes;

static inline void on_wake(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	wakes++;
}

static sigset_t main_thread_mask;
static _Atomic bool main_thread_masked;

static inline void main_thread_mask_set(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)info;
	uc->uc_sigmask = main_thread_mask;
	main_thread_masked = true;
}

static inline bool asleep(pid_t tid)
{
	char path[64], text[512], *name_end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (read_file(path, text, sizeof(text)) < 0)
		return false;
	name_end = strrchr(text, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

static inline void wait_asleep(pid_t tid) { CHECK_MSG(EVENTUALLY(asleep(tid)), "thread %d does not sleep", tid); }

/* The mask that its handler returns to; the harness takes it away again before the next case. sig2: another one, or 0. */
static inline void main_thread_blocks(int sig, int sig2)
{
	handle(SIGRTMIN + 5, main_thread_mask_set, SA_RESTART);
	sigemptyset(&main_thread_mask);
	sigaddset(&main_thread_mask, sig);
	if (sig2)
		sigaddset(&main_thread_mask, sig2);
	main_thread_masked = false;
	CHECK_OK(tgkill(getpid(), getpid(), SIGRTMIN + 5));
	CHECK(EVENTUALLY(main_thread_masked));
	wait_asleep(getpid());
}

struct blocked {
	long (*call)(int fd);
	int fd;
	/* Its own. */
	pthread_t thread;
	_Atomic pid_t tid;
	_Atomic bool done;
	long result;
	int error;
};

static inline void *blocked_thread(void *arg)
{
	struct blocked *b = arg;

	b->tid = gettid();
	b->result = b->call(b->fd);
	b->error = errno;
	b->done = true;
	return NULL;
}

/* Until it waits in its call; one that came back instead has failed. */
static inline void blocked_asleep(struct blocked *b)
{
	CHECK_MSG(EVENTUALLY(b->done || asleep(b->tid)), "the call neither sleeps nor ends");
	CHECK_MSG(!b->done, "the call came back with %ld (%s)", b->result, strerrorname_np(b->error) ?: "?");
}

static inline void blocked_start(struct blocked *b)
{
	b->tid = 0;
	b->done = false;
	b->thread = thread_start(blocked_thread, b);
	CHECK(EVENTUALLY(b->tid));
	blocked_asleep(b);
}

/* Sends it a signal whose handler is on_wake, and waits until it sleeps again. */
static inline void blocked_restarts(struct blocked *b, int sig)
{
	int before = wakes;

	CHECK_EQ(pthread_kill(b->thread, sig), 0);
	CHECK(EVENTUALLY(wakes > before));
	blocked_asleep(b);
}

static inline void blocked_end(struct blocked *b, long result, int error)
{
	pthread_join(b->thread, NULL);
	CHECK_EQ(b->result, result);
	if (result == -1)
		CHECK_EQ(b->error, error);
}

static inline long call_read(int fd)
{
	char c;

	return read(fd, &c, 1);
}

static inline long call_accept(int fd) { return accept(fd, NULL, NULL); }

/* Gives up, since others may be woken instead. */
static inline long call_epoll(int ep)
{
	struct epoll_event got;

	return epoll_wait(ep, &got, 1, 400);
}

#endif
