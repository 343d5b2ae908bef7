/*
 * kernel/linux/machine.c - the control channel and the end of the machine; see images/format.h.
 *
 * A kernel thread reads lines from the host. A signal that arrives before the application is started waits
 * for it. After `poweroff` and the power button the application gets SIGTERM; if it is still there after
 * POWEROFF_GRACE_NS the machine ends without it.
 */
#include "linux/machine.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/thread.h"
#include "drivers/device.h"
#include "fs/vfs.h"
#include "gate.h"
#include "images/format.h"
#include "io.h"
#include "lib/string.h"
#include "net/counters.h"
#include "linux/process.h"
#include "linux/signal.h"

#define POWEROFF_GRACE_NS (10 * NSEC_PER_SEC)
#define FLUSH_NS (5 * NSEC_PER_SEC)

static struct console_port *control;
static struct mutex lock = MUTEX_INIT("control channel");
static struct process *application;
static uint64_t early_signals;
static _Atomic unsigned tty_rows, tty_columns;
static _Atomic bool ending;

void machine_control_send(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!control)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	n = MIN(n, (int)sizeof(line) - 2);
	line[n] = '\n';
	control->write(control, line, (size_t)n + 1);
}

static void signal_application(int sig)
{
	mutex_lock(&lock);
	if (application)
		signal_send_process(application, sig, NULL);
	else
		early_signals |= SIGSET_BIT(sig);
	mutex_unlock(&lock);
}

void machine_set_application(struct process *p)
{
	mutex_lock(&lock);
	application = p;
	for (int sig = 1; p && sig <= 64; sig++)
		if (early_signals & SIGSET_BIT(sig))
			signal_send_process(p, sig, NULL);
	early_signals = 0;
	mutex_unlock(&lock);
}

bool machine_terminal_size(unsigned *rows, unsigned *columns)
{
	*rows = atomic_load(&tty_rows);
	*columns = atomic_load(&tty_columns);
	return *rows != 0;
}

static void power_off_later(void *arg)
{
	sleep_ns(POWEROFF_GRACE_NS);
	log_warn("the application did not end within %llu s of SIGTERM: powering off", POWEROFF_GRACE_NS / NSEC_PER_SEC);
	machine_exit(128 + SIGKILL);
}

static void power_button(void)
{
	static _Atomic bool pressed;

	signal_application(SIGTERM);
	if (!atomic_exchange(&pressed, true)) {
		struct thread *t = thread_create_kernel("power-off", power_off_later, NULL);
		if (IS_ERR(t))
			log_warn("no memory to watch over the end of the application");
	}
}

static void handle_line(const char *line)
{
	uint64_t a, b;
	const char *end;

	if (str_starts(line, "signal ") && parse_u64(line + 7, &end, &a) == 0 && a >= 1 && a <= 64)
		signal_application((int)a);
	else if (str_starts(line, "tty ") && parse_u64(line + 4, &end, &a) == 0 && *end == ' ' &&
		 parse_u64(end + 1, &end, &b) == 0 && a && a < 65536 && b < 65536) {
		atomic_store(&tty_columns, (unsigned)b);
		atomic_store(&tty_rows, (unsigned)a);
	} else if (!strcmp(line, "poweroff"))
		power_button();
	else
		log_warn("control channel: cannot understand \"%s\"", line);
}

static void control_main(void *arg)
{
	char line[256];
	size_t len = 0;

	for (;;) {
		char c;
		ssize_t n = control->read(control, &c, 1);
		if (n <= 0)
			return; /* the host is gone; the application goes on */
		if (c == '\n') {
			line[len] = 0;
			handle_line(line);
			len = 0;
		} else if (len < sizeof(line) - 1) {
			line[len++] = c;
		}
	}
}

static void input_wanted(void) { machine_control_send("stdin"); }

void machine_control_start(void)
{
	power_button_handler = power_button;
	control = console_find(IBRIK_PORT_CONTROL);
	if (!control)
		return;
	console_input_wanted = input_wanted;
	machine_control_send("hello %d", 1);
	struct thread *t = thread_create_kernel("control", control_main, NULL);
	if (IS_ERR(t))
		panic("no memory for the control channel's thread");
}

_Noreturn static void end(void)
{
	static const char *const ports[] = { IBRIK_PORT_STDOUT, IBRIK_PORT_STDERR, IBRIK_PORT_CONTROL };

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		struct console_port *p = console_find(ports[i]);
		if (p && p->flush)
			p->flush(p, FLUSH_NS);
	}
	if (option_flag("debugexit"))
		outb(IBRIK_EXIT_PORT, IBRIK_EXIT_CLEAN);
	machine_power_off();
}

/* Two threads may end the machine at once: the second waits for the first for ever. */
static void only_one(void)
{
	if (atomic_exchange(&ending, true)) {
		for (;;)
			sleep_ns(NSEC_PER_SEC);
	}
}

static void flush_output(void)
{
	static const char *const ports[] = { IBRIK_PORT_STDOUT, IBRIK_PORT_STDERR };

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		struct console_port *p = console_find(ports[i]);
		if (p && p->flush)
			p->flush(p, FLUSH_NS);
	}
}

_Noreturn void machine_exit(int status)
{
	only_one();
	net_trace_end();
	gate_report();
	flush_output();
	machine_control_send("exit %d", status & 255);
	end();
}

_Noreturn void machine_fail(int status, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	only_one();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	flush_output();
	if (control)
		machine_control_send("fail %d %s", status, text);
	else
		log_err("%s", text);
	end();
}
