/*
 * kernel/drivers/console.c - the list of console ports, and who gets the screen.
 *
 * Interface: console_register(), console_find() (device.h); console_ready() (console.h)
 * Locking:   `lock` guards the list; ports may still be added when the host plugs one.
 */
#include "core/log.h"
#include "core/mutex.h"
#include "drivers/console.h"
#include "lib/string.h"

static struct list ports = LIST_INIT(ports);
static struct mutex lock = MUTEX_INIT("console ports");

void console_register(struct console_port *p)
{
	mutex_lock(&lock);
	list_push_back(&ports, &p->link);
	mutex_unlock(&lock);
}

struct console_port *console_find(const char *name)
{
	struct console_port *p, *found = NULL;

	mutex_lock(&lock);
	list_for_each(p, &ports, link)
		if (strcmp(p->name, name) == 0 && !found)
			found = p;
	mutex_unlock(&lock);
	return found;
}

static void replay(const char *line)
{
	if (line[0] - '0' > log_level)
		return;
	vga_write(line, strlen(line));
	if (*line && line[strlen(line) - 1] != '\n')
		vga_write("\n", 1);
}

void console_ready(void)
{
	/* With virtio ports the output has a better place, and nobody looks at the screen. */
	if (!list_empty(&ports) || !vga_init())
		return;
	log_replay(20, replay);
	serial_use_vga();
}
