/*
 * tests/guest/signals.c - signals: dispositions, masks, queues, waiting, restart. What a handler's frame
 * looks like is the topic of sigframe.c.
 */
#include "harness.h"
#include "waits.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>

static _Atomic int hits, last_sig, last_code, last_value, last_tid;

static void count_hit(int sig, siginfo_t *info, void *context)
{
	(void)context;
	hits++;
	last_sig = sig;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	last_tid = (int)syscall(SYS_gettid);
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void unblock(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The main thread of the harness would take process-directed signals too; it waits, that is fine. */

TEST(tgkill_to_self_runs_the_handler_before_it_returns)
{
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	for (int i = 1; i <= 50; i++) {
		CHECK_OK(tgkill(getpid(), gettid(), SIGUSR1));
		CHECK_EQ(hits, i);
	}
	CHECK_EQ(last_code, SI_TKILL);
	CHECK_EQ(last_tid, gettid());
}

TEST(raise_of_every_signal_reaches_its_handler)
{
	for (int sig = 1; sig <= 64; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
			continue;
		handle(sig, count_hit, 0);
		hits = 0;
		CHECK_EQ(raise(sig), 0);
		CHECK_EQ(hits, 1);
		CHECK_EQ(last_sig, sig);
		signal(sig, SIG_DFL);
	}
}

TEST(kill_to_the_process_reaches_some_thread)
{
	hits = 0;
	handle(SIGUSR2, count_hit, 0);
	CHECK_OK(kill(getpid(), SIGUSR2));
	CHECK(EVENTUALLY(hits == 1));
	CHECK_EQ(last_code, SI_USER);
	CHECK_OK(kill(getpid(), 0));
	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(4000000, 0), ESRCH);
}

TEST(an_ignored_signal_is_dropped)
{
	signal(SIGUSR1, SIG_IGN);
	CHECK_EQ(raise(SIGUSR1), 0);
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	sleep_ms(5);
	CHECK_EQ(hits, 0);
}

TEST(signals_ignored_by_default_do_nothing)
{
	CHECK_EQ(raise(SIGCHLD), 0);
	CHECK_EQ(raise(SIGURG), 0);
	CHECK_EQ(raise(SIGWINCH), 0);
}

TEST(sigaction_answers_the_old_action)
{
	struct sigaction sa, old;

	handle(SIGUSR1, count_hit, SA_RESTART | SA_NODEFER);
	CHECK_OK(sigaction(SIGUSR1, NULL, &sa));
	CHECK(sa.sa_sigaction == count_hit);
	CHECK_EQ(sa.sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO), SA_RESTART | SA_NODEFER | SA_SIGINFO);
	sa.sa_handler = SIG_DFL;
	CHECK_OK(sigaction(SIGUSR1, &sa, &old));
	CHECK(old.sa_sigaction == count_hit);
}

TEST(sigaction_checks_its_arguments)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	CHECK_ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(0, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(65, &sa, NULL), EINVAL);
	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, BAD_PTR, NULL, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, NULL, BAD_PTR, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), -EINVAL);
}

TEST(sigaction_clears_flags_that_nobody_knows)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} act = { SIG_IGN, SA_SIGINFO | SA_RESTART | 0x400 | 0xff00000000, NULL, ~0ull }, old;

	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, &act, NULL, 8), 0);
	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8), 0);
	CHECK_EQ(old.flags, SA_SIGINFO | SA_RESTART);
	CHECK_EQ(old.mask, ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1)));
}

TEST(a_blocked_signal_waits_until_it_is_unblocked)
{
	sigset_t pending;

	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	block(SIGUSR1);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(hits, 0);
	CHECK_OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
	CHECK(!sigismember(&pending, SIGUSR2));
	unblock(SIGUSR1);
	CHECK_EQ(hits, 1); /* standard signals do not queue */
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
}

static int values_in_order[16];

static void note_value(int sig, siginfo_t *info, void *context)
{
	if (hits < 16)
		values_in_order[hits] = info->si_value.sival_int;
	count_hit(sig, info, context);
}

TEST(realtime_signals_queue_in_order)
{
	hits = 0;
	handle(SIGRTMIN + 1, note_value, 0);
	block(SIGRTMIN + 1);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i }), 0);
	CHECK_EQ(hits, 0);
	unblock(SIGRTMIN + 1);
	CHECK_EQ(hits, 10);
	CHECK_EQ(last_code, SI_QUEUE);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(values_in_order[i], 100 + i);
}

TEST(sigqueue_carries_its_value)
{
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	CHECK_OK(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 4711 }));
	CHECK(EVENTUALLY(hits == 1));
	CHECK_EQ(last_value, 4711);
	CHECK_EQ(last_code, SI_QUEUE);
}

TEST(rt_sigprocmask_checks_its_arguments)
{
	uint64_t set = 0, old = 77;

	CHECK_EQ(sys(SYS_rt_sigprocmask, 99, &set, NULL, 8), -EINVAL);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 16), -EINVAL);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, BAD_PTR, NULL, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, NULL, BAD_PTR, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigprocmask, 99, NULL, &old, 8), 0); /* how is not looked at without a set */
	CHECK_EQ(old, 0);
	set = ~0ul;
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8), 0);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &old, 8), 0);
	CHECK_EQ(old, ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
}

static sigset_t mask_inside;

static void see_mask(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	pthread_sigmask(SIG_BLOCK, NULL, &mask_inside);
	hits++;
}

TEST(a_handler_runs_with_its_signal_and_sa_mask_blocked)
{
	struct sigaction sa = { .sa_sigaction = see_mask, .sa_flags = SA_SIGINFO };
	sigset_t now;

	sigaddset(&sa.sa_mask, SIGUSR2);
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(sigismember(&mask_inside, SIGUSR1));
	CHECK(sigismember(&mask_inside, SIGUSR2));
	CHECK(!sigismember(&mask_inside, SIGTERM));
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	CHECK(!sigismember(&now, SIGUSR1));
	CHECK(!sigismember(&now, SIGUSR2));
}

TEST(nodefer_leaves_the_signal_open)
{
	handle(SIGUSR1, see_mask, SA_NODEFER);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(!sigismember(&mask_inside, SIGUSR1));
}

TEST(resethand_puts_the_default_back)
{
	struct sigaction sa;

	handle(SIGURG, count_hit, SA_RESETHAND);
	hits = 0;
	CHECK_EQ(raise(SIGURG), 0);
	CHECK_EQ(raise(SIGURG), 0);
	CHECK_EQ(hits, 1);
	CHECK_OK(sigaction(SIGURG, NULL, &sa));
	CHECK(sa.sa_handler == SIG_DFL);
}

static _Atomic int depth, deepest;

static void nest(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (++depth > deepest)
		deepest = depth;
	if (depth < 20)
		raise(sig);
	depth--;
}

TEST(handlers_nest)
{
	depth = deepest = 0;
	handle(SIGUSR1, nest, SA_NODEFER);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(deepest, 20);
	CHECK_EQ(depth, 0);
}

static sigjmp_buf jump;

static void jump_out(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	siglongjmp(jump, 5);
}

TEST(siglongjmp_out_of_a_handler_restores_the_mask)
{
	handle(SIGUSR1, jump_out, 0);
	for (volatile int i = 0; i < 100; i++) {
		sigset_t now;
		int got = sigsetjmp(jump, 1);

		if (!got) {
			raise(SIGUSR1);
			FAIL("raise came back");
		}
		CHECK_EQ(got, 5);
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		CHECK(!sigismember(&now, SIGUSR1));
	}
}

/* Restart and interruption */

struct helper {
	pid_t tid;
	int sig;
};

/* When the call that is to be interrupted waits, and has done so for more than the slack of a timer: what is left of it is less then. */
static void *send_later(void *arg)
{
	struct helper *h = arg;

	wait_asleep(h->tid);
	sleep_ms(20);
	CHECK_OK(tgkill(getpid(), h->tid, h->sig));
	return NULL;
}

static pthread_t interrupt_me(struct helper *h, int sig)
{
	*h = (struct helper){ .tid = gettid(), .sig = sig };
	hits = 0;
	return thread_start(send_later, h);
}

TEST(read_is_interrupted_without_restart)
{
	struct helper h;
	int fds[2];
	char c;
	pthread_t thread;

	CHECK_OK(pipe(fds));
	handle(SIGUSR1, count_hit, 0);
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(read(fds[0], &c, 1), EINTR);
	CHECK_EQ(hits, 1);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

static int write_fd;

static void *signal_then_write(void *arg)
{
	struct helper *h = arg;

	wait_asleep(h->tid);
	CHECK_OK(tgkill(getpid(), h->tid, h->sig));
	sleep_ms(50); /* in which a call that the signal ends would end */
	wait_asleep(h->tid);
	if (write(write_fd, "x", 1) != 1)
		FAIL("write: %s", strerror(errno));
	return NULL;
}

TEST(read_is_restarted_with_sa_restart)
{
	struct helper h = { .tid = gettid(), .sig = SIGUSR1 };
	int fds[2];
	char c = 0;
	pthread_t thread;

	CHECK_OK(pipe(fds));
	write_fd = fds[1];
	hits = 0;
	handle(SIGUSR1, count_hit, SA_RESTART);
	thread = thread_start(signal_then_write, &h);
	CHECK_EQ(CHECK_OK(read(fds[0], &c, 1)), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(hits, 1);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

TEST(nanosleep_tells_the_rest_when_interrupted)
{
	struct helper h;
	struct timespec want = { 5, 0 }, rest = { 0, 0 };
	pthread_t thread;

	handle(SIGUSR1, count_hit, SA_RESTART); /* sleeping is never restarted by a handler */
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(nanosleep(&want, &rest), EINTR);
	CHECK(rest.tv_sec >= 1 && (rest.tv_sec < 5));
	pthread_join(thread, NULL);
}

TEST(poll_is_interrupted_even_with_sa_restart)
{
	struct helper h;
	pthread_t thread;

	handle(SIGUSR1, count_hit, SA_RESTART);
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(poll(NULL, 0, 5000), EINTR);
	pthread_join(thread, NULL);
}

TEST(pause_and_sigsuspend_return_eintr)
{
	struct helper h;
	sigset_t none;
	pthread_t thread;

	handle(SIGUSR1, count_hit, SA_RESTART);
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(pause(), EINTR);
	pthread_join(thread, NULL);
	block(SIGUSR1);
	CHECK_EQ(raise(SIGUSR1), 0);
	hits = 0;
	sigemptyset(&none);
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(hits, 1);
	pthread_sigmask(SIG_BLOCK, NULL, &none);
	CHECK(sigismember(&none, SIGUSR1)); /* the mask from before is back */
}

static void mask_passes(const char *name, long answer, int error, int want_hits)
{
	CHECK_MSG(answer == (want_hits ? -1 : 1) && hits == want_hits && (!want_hits || error == EINTR),
		  "%s answers %ld (%s), handlers run: %d", name, answer, strerrorname_np(error) ?: "?", hits);
	hits = 0;
}

/* A signal waits that the temporary mask lets through: the call ends even if it would not have waited, unless it has an answer. */
TEST(a_temporary_mask_lets_a_signal_in_that_waits_already)
{
	struct timespec times[] = { { 0, 0 }, { 5, 0 } };
	struct epoll_event event = { EPOLLIN, { 0 } };
	struct pollfd ready;
	sigset_t none;
	fd_set set;
	int fds[2], ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));

	CHECK_OK(pipe(fds));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	sigemptyset(&none);
	block(SIGUSR1);
	handle(SIGUSR1, count_hit, SA_RESTART);
	hits = 0;
	for (int i = 0; i < 2; i++) {
		long r;

		CHECK_EQ(raise(SIGUSR1), 0);
		r = ppoll(NULL, 0, &times[i], &none);
		mask_passes("ppoll", r, errno, 1);
		CHECK_EQ(raise(SIGUSR1), 0);
		r = pselect(0, NULL, NULL, NULL, &times[i], &none);
		mask_passes("pselect", r, errno, 1);
	}
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_ERR(epoll_pwait(ep, &event, 1, 5000, &none), EINTR);
	mask_passes("epoll_pwait", -1, EINTR, 1);
	/* With an answer the signal goes on waiting. */
	CHECK_EQ(raise(SIGUSR1), 0);
	ready = (struct pollfd){ fds[0], POLLIN, 0 };
	mask_passes("ppoll", ppoll(&ready, 1, &times[1], &none), 0, 0);
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	mask_passes("pselect", pselect(fds[0] + 1, &set, NULL, NULL, &times[1], &none), 0, 0);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &event));
	mask_passes("epoll_pwait", epoll_pwait(ep, &event, 1, 5000, &none), 0, 0);
	unblock(SIGUSR1);
	CHECK_EQ(hits, 1);
	close(fds[0]);
	close(fds[1]);
	close(ep);
}

TEST(an_ignored_signal_does_not_interrupt)
{
	struct helper h = { .tid = gettid(), .sig = SIGUSR1 };
	int fds[2];
	char c;
	pthread_t thread;

	CHECK_OK(pipe(fds));
	write_fd = fds[1];
	signal(SIGUSR1, SIG_IGN);
	thread = thread_start(signal_then_write, &h);
	CHECK_EQ(CHECK_OK(read(fds[0], &c, 1)), 1);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

/* Waiting */

TEST(sigtimedwait_takes_a_pending_signal_with_its_data)
{
	struct timespec ts = { 0, 20000000 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	block(SIGUSR1);
	CHECK_ERR(sigtimedwait(&set, &info, &ts), EAGAIN);
	CHECK_EQ(pthread_sigqueue(pthread_self(), SIGUSR1, (union sigval){ .sival_int = 12 }), 0);
	CHECK_EQ(CHECK_OK(sigtimedwait(&set, &info, &ts)), SIGUSR1);
	CHECK_EQ(info.si_signo, SIGUSR1);
	CHECK_EQ(info.si_value.sival_int, 12);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_EQ(info.si_uid, getuid());
	CHECK_EQ(sys(SYS_rt_sigtimedwait, BAD_PTR, &info, &ts, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigtimedwait, &set, &info, &ts, 4), -EINVAL);
	ts.tv_nsec = 2000000000;
	CHECK_EQ(sys(SYS_rt_sigtimedwait, &set, &info, &ts, 8), -EINVAL);
}

TEST(sigwait_wakes_when_the_signal_comes)
{
	struct helper h;
	sigset_t set;
	pthread_t thread;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	block(SIGUSR2);
	thread = interrupt_me(&h, SIGUSR2);
	CHECK_EQ(sigwait(&set, &sig), 0);
	CHECK_EQ(sig, SIGUSR2);
	pthread_join(thread, NULL);
}

static void *wait_for_usr1(void *arg)
{
	sigset_t set;
	int sig;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigwait(&set, &sig);
	return (void *)(long)sig;
}

TEST(a_process_signal_goes_to_a_thread_that_does_not_block_it)
{
	/* The case thread blocks it, the harness's main thread does not. */
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	block(SIGUSR1);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK(EVENTUALLY(hits == 1));
	CHECK(last_tid != gettid());
}

TEST(a_new_thread_inherits_the_mask_but_not_pending_signals)
{
	pthread_t thread;
	void *got;

	block(SIGUSR1);
	CHECK_EQ(raise(SIGUSR1), 0);
	thread = thread_start(wait_for_usr1, NULL);
	sleep_ms(30);
	CHECK_EQ(pthread_tryjoin_np(thread, &got), EBUSY);
	CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
	pthread_join(thread, &got);
	CHECK((long)got == SIGUSR1);
}

TEST(signalfd_reads_pending_signals)
{
	struct signalfd_siginfo info;
	struct pollfd p;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	block(SIGUSR1);
	fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	CHECK_ERR(read(fd, &info, sizeof(info)), EAGAIN);
	CHECK_EQ(raise(SIGUSR1), 0);
	p = (struct pollfd){ fd, POLLIN, 0 };
	CHECK_EQ(CHECK_OK(poll(&p, 1, 1000)), 1);
	CHECK_EQ(CHECK_OK(read(fd, &info, sizeof(info))), sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGUSR1);
	CHECK_ERR(read(fd, &info, 4), EINVAL);
	close(fd);
}

static long call_read_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) ? (long)info.ssi_signo : -1;
}

TEST(a_signalfd_that_is_read_sees_its_new_mask)
{
	struct blocked reader = { .call = call_read_signal };
	sigset_t set;

	main_thread_blocks(SIGUSR1, SIGUSR2);
	block(SIGUSR1);
	block(SIGUSR2);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	reader.fd = CHECK_OK(signalfd(-1, &set, SFD_CLOEXEC));
	blocked_start(&reader);
	/* Pending before the mask is changed, and after. */
	CHECK_OK(kill(getpid(), SIGUSR1));
	sleep_ms(20);
	blocked_asleep(&reader);
	sigaddset(&set, SIGUSR1);
	CHECK_EQ(CHECK_OK(signalfd(reader.fd, &set, 0)), reader.fd);
	blocked_end(&reader, SIGUSR1, 0);
	sigemptyset(&set);
	CHECK_OK(signalfd(reader.fd, &set, 0));
	blocked_start(&reader);
	sigaddset(&set, SIGUSR2);
	CHECK_OK(signalfd(reader.fd, &set, 0));
	blocked_asleep(&reader);
	CHECK_OK(kill(getpid(), SIGUSR2));
	blocked_end(&reader, SIGUSR2, 0);
	/* A signal that the mask does not hold any more does not end the read. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(signalfd(reader.fd, &set, 0));
	blocked_start(&reader);
	sigdelset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	CHECK_OK(signalfd(reader.fd, &set, 0));
	CHECK_OK(kill(getpid(), SIGUSR1));
	sleep_ms(20);
	blocked_asleep(&reader);
	CHECK_OK(kill(getpid(), SIGUSR2));
	blocked_end(&reader, SIGUSR2, 0);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(signalfd(reader.fd, &set, 0));
	CHECK_EQ(call_read_signal(reader.fd), SIGUSR1);
	close(reader.fd);
}

/* What a signalfd tells of a signal of this code. */
static struct signalfd_siginfo read_code(int fd, int sig, int code)
{
	siginfo_t info = { .si_code = code, .si_errno = 5 };
	struct signalfd_siginfo got;

	info.si_pid = 71;
	info.si_uid = 72;
	info.si_value.sival_ptr = (void *)0x700000073;
	CHECK_EQ(sys(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, &info), 0);
	CHECK_EQ(CHECK_OK(read(fd, &got, sizeof(got))), sizeof(got));
	CHECK_EQ(got.ssi_signo, sig);
	CHECK_EQ(got.ssi_code, code);
	CHECK_EQ(got.ssi_errno, 5);
	return got;
}

TEST(signalfd_tells_what_the_code_gives_a_meaning_to)
{
	struct signalfd_siginfo got;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGSEGV);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	got = read_code(fd, SIGUSR1, SI_QUEUE);
	CHECK(got.ssi_pid == 71 && got.ssi_uid == 72 && got.ssi_ptr == 0x700000073 && got.ssi_int == 0x73);
	got = read_code(fd, SIGUSR1, -60);
	CHECK(got.ssi_pid == 71 && got.ssi_uid == 72 && got.ssi_ptr == 0x700000073 && got.ssi_int == 0x73);
	got = read_code(fd, SIGUSR1, SI_USER);
	CHECK(got.ssi_pid == 71 && got.ssi_uid == 72 && got.ssi_ptr == 0 && got.ssi_int == 0);
	got = read_code(fd, SIGUSR1, SI_KERNEL);
	CHECK(got.ssi_pid == 71 && got.ssi_uid == 72 && got.ssi_ptr == 0 && got.ssi_int == 0);
	got = read_code(fd, SIGUSR1, SI_TIMER);
	CHECK(got.ssi_pid == 0 && got.ssi_tid == 71 && got.ssi_overrun == 72 && got.ssi_ptr == 0x700000073);
	got = read_code(fd, SIGUSR1, 5);
	CHECK(got.ssi_pid == 0 && got.ssi_fd == 0x73 && got.ssi_band == 71);
	got = read_code(fd, SIGCHLD, CLD_EXITED);
	CHECK(got.ssi_pid == 71 && got.ssi_uid == 72 && got.ssi_status == 0x73 && got.ssi_ptr == 0);
	got = read_code(fd, SIGSEGV, SEGV_MAPERR);
	CHECK(got.ssi_pid == 0 && got.ssi_addr == (72ull << 32 | 71));
	close(fd);
}

/* Storms and timers */

static _Atomic bool storm_stop;

static void *storm(void *arg)
{
	double x = 1;

	(void)arg;
	while (!storm_stop) {
		double y = x * 3;

		x = y / 3;
		if (x != 1)
			FAIL("a floating point value changed: %g", x);
	}
	return NULL;
}

TEST_SLOW(a_storm_of_signals_between_threads_loses_none, 60)
{
	enum { THREADS = 4, SIGNALS = 400 };
	pthread_t threads[THREADS];

	handle(SIGUSR1, count_hit, SA_RESTART);
	hits = 0;
	storm_stop = false;
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(storm, NULL);
	for (int i = 0; i < SIGNALS; i++) {
		int before = hits;

		CHECK_EQ(pthread_kill(threads[i % THREADS], SIGUSR1), 0);
		while (hits == before)
			sched_yield();
	}
	storm_stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(hits, SIGNALS);
}

TEST(alarm_and_itimer_deliver_sigalrm)
{
	struct itimerval tv = { { 0, 0 }, { 0, 20000 } }, old;

	hits = 0;
	handle(SIGALRM, count_hit, 0);
	CHECK_OK(setitimer(ITIMER_REAL, &tv, NULL));
	CHECK_OK(getitimer(ITIMER_REAL, &old));
	CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_usec <= 20000);
	CHECK(EVENTUALLY(hits == 1));
	CHECK_EQ(alarm(100), 0);
	CHECK_EQ(alarm(0), 100);
	CHECK_EQ(alarm(1), 0);
	CHECK(EVENTUALLY(hits == 2));
	CHECK_ERR(setitimer(99, &tv, NULL), EINVAL);
}

TEST_MAIN("signals")
