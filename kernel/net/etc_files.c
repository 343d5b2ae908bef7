/*
 * kernel/net/etc_files.c - /etc/resolv.conf, /etc/hosts, /etc/hostname and the host name, from what the network says.
 *
 * Theory:    resolv.conf and hostname are ours unless the image brings them. In the table of hosts one line is ours: the one for 127.0.1.1 that the image
 *            has for the machine's name, which gets the real address when there is one. A file is replaced, whole, and only when it would change.
 *            A host name that was given by hand (net.ip, or --name) goes before that of a lease.
 * Interface: etc_files_write() (config.h).
 * Locking:   files_lock, a writer at a time. The core lock is not held while files are read or written.
 * Errors:    one line in the log for a file that cannot be written; it stays as it was.
 */
#include "net/config.h"
#include "net/config_text.h"
#include "core/log.h"
#include "core/mutex.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "linux/process.h"
#include "mm/mm.h"

#define HOSTS_MAX 65536

static struct mutex files_lock = MUTEX_INIT("network files");
static bool looked, own_resolv, own_hostname; /* is the file ours? */
static bool named;                            /* the host name is the network's */
static char resolv_last[1024], hostname_last[66], hosts_line[700];

static bool exists(const char *path)
{
	struct file *f = vfs_open(path, O_RDONLY, 0);

	if (IS_ERR(f))
		return false;
	file_put(f);
	return true;
}

static void write(const char *path, const char *text)
{
	if (vfs_replace_file(path, text, strlen(text)) < 0)
		log_err("network: %s cannot be written", path);
}

static void resolv_write(const struct net_names *n)
{
	char text[sizeof(resolv_last)];
	size_t len = 0;

	text[0] = 0;
	if (n->search[0])
		sappendf(text, sizeof(text), &len, "search %s\n", n->search);
	for (unsigned i = 0; i < n->ndns; i++)
		sappendf(text, sizeof(text), &len, "nameserver %s\n", n->dns[i]);
	if (!strcmp(text, resolv_last))
		return;
	strlcpy(resolv_last, text, sizeof(resolv_last));
	write("/etc/resolv.conf", text);
}

static void hostname_write(const char *name)
{
	char text[sizeof(hostname_last)];

	snprintf(text, sizeof(text), "%s\n", name);
	if (!strcmp(text, hostname_last))
		return;
	strlcpy(hostname_last, text, sizeof(hostname_last));
	write("/etc/hostname", text);
}

/* The file's content, allocated; empty if there is none. NULL: no memory, or it is longer than HOSTS_MAX. */
static char *hosts_read(void)
{
	struct file *f = vfs_open("/etc/hosts", O_RDONLY, 0);
	char *text = kmalloc(HOSTS_MAX + 1);
	ssize_t n = 0;

	if (text && !IS_ERR(f))
		n = file_read_kernel(f, text, HOSTS_MAX, 0);
	if (!IS_ERR(f))
		file_put(f);
	if (text && (n < 0 || n == HOSTS_MAX)) {
		kfree(text);
		text = NULL;
	}
	if (text)
		text[n] = 0;
	return text;
}

static void hosts_write(const struct net_names *n, const char *name)
{
	char line[sizeof(hosts_line)], *table, *made;
	const char *blank = strchr(n->search, ' ');
	size_t domain = blank ? (size_t)(blank - n->search) : strlen(n->search), room, len;

	if (!n->address[0])
		snprintf(line, sizeof(line), "127.0.1.1 %s", name);
	else if (domain && !strchr(name, '.'))
		snprintf(line, sizeof(line), "%s %s.%.*s %s", n->address, name, (int)domain, n->search, name);
	else
		snprintf(line, sizeof(line), "%s %s", n->address, name);
	/* Nothing is known yet, and the image has said it. */
	if (!strcmp(line, hosts_line) || (!hosts_line[0] && !n->address[0]))
		return;
	table = hosts_read();
	room = table ? strlen(table) + sizeof(line) + 2 : 0;
	made = table ? kmalloc(room) : NULL;
	if (!made) {
		log_err("network: /etc/hosts is too long, or there is no memory: it stays as it is");
	} else {
		len = hosts_edit(table, hosts_line, line, made, room);
		if (len < room && strcmp(table, made))
			write("/etc/hosts", made);
		strlcpy(hosts_line, line, sizeof(hosts_line));
	}
	kfree(made);
	kfree(table);
}

/* Once: which files has the image brought? files_lock held. */
static void look(void)
{
	if (looked)
		return;
	looked = true;
	own_resolv = !exists("/etc/resolv.conf");
	own_hostname = !exists("/etc/hostname");
}

void etc_files_look(void)
{
	mutex_lock(&files_lock);
	look();
	kfree(hosts_read());
	mutex_unlock(&files_lock);
}

void etc_files_write(void)
{
	struct net_names *n = kmalloc(sizeof(*n));
	char name[65];

	if (!n) {
		log_err("network: no memory for the files in /etc");
		return;
	}
	mutex_lock(&files_lock);
	net_names_get(n);
	look();
	if (n->host[0] || named) {
		named = n->host[0];
		hostname_suggest(n->host);
	}
	hostname_read(name, sizeof(name));
	if (own_hostname)
		hostname_write(name);
	if (own_resolv)
		resolv_write(n);
	hosts_write(n, name);
	mutex_unlock(&files_lock);
	kfree(n);
}
