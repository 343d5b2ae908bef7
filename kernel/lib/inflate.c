/*
 * kernel/lib/inflate.c - glue between the kernel and zlib's inflate.
 *
 * Interface: inflate.h.
 * Locking:   one mutex guards the pool of contexts; inflating itself runs without a lock.
 * Errors:    see inflate.h.
 */
#include "lib/inflate.h"
#include "core/mutex.h"
#include "mm/mm.h"
#include <zlib.h>

#define POOL_MAX 2

struct context {
	z_stream stream;
	struct context *next;
};

static struct mutex pool_lock = MUTEX_INIT("inflate");
static struct context *pool;
static unsigned pool_size;

static void *zlib_alloc(void *opaque, unsigned items, unsigned size)
{
	return kmalloc((size_t)items * size);
}

static void zlib_free(void *opaque, void *p)
{
	kfree(p);
}

static struct context *context_get(void)
{
	struct context *c;

	mutex_lock(&pool_lock);
	c = pool;
	if (c) {
		pool = c->next;
		pool_size--;
	}
	mutex_unlock(&pool_lock);
	if (c) {
		if (inflateReset(&c->stream) == Z_OK)
			return c;
		inflateEnd(&c->stream);
		kfree(c);
		return NULL;
	}
	c = kzalloc(sizeof(*c));
	if (!c)
		return NULL;
	c->stream.zalloc = zlib_alloc;
	c->stream.zfree = zlib_free;
	if (inflateInit(&c->stream) != Z_OK) {
		kfree(c);
		return NULL;
	}
	return c;
}

static void context_put(struct context *c)
{
	mutex_lock(&pool_lock);
	if (pool_size < POOL_MAX) {
		c->next = pool;
		pool = c;
		pool_size++;
		c = NULL;
	}
	mutex_unlock(&pool_lock);
	if (c) {
		inflateEnd(&c->stream);
		kfree(c);
	}
}

ssize_t inflate_stream(struct inflate_io *io)
{
	struct context *c = context_get();
	ssize_t total = 0, r = 0;
	bool input_done = false;

	if (!c)
		return -ENOMEM;
	c->stream.avail_in = c->stream.avail_out = 0;
	for (;;) {
		size_t before;
		int z;

		if (!c->stream.avail_in && !input_done) {
			const void *in = NULL;
			size_t len = 0;

			r = io->more(io, &in, &len);
			if (r)
				break;
			c->stream.next_in = (void *)(uintptr_t)in;
			c->stream.avail_in = len;
			input_done = len == 0;
		}
		if (!c->stream.avail_out) {
			void *out = NULL;
			size_t len = 0;

			io->room(io, &out, &len);
			if (!len)
				break;
			c->stream.next_out = out;
			c->stream.avail_out = len;
		}
		before = c->stream.avail_out;
		z = inflate(&c->stream, Z_NO_FLUSH);
		total += before - c->stream.avail_out;
		if (z == Z_STREAM_END)
			break;
		if (z == Z_MEM_ERROR) {
			r = -ENOMEM;
			break;
		}
		if (z != Z_OK || (input_done && before == c->stream.avail_out)) {
			r = -EIO;
			break;
		}
	}
	context_put(c);
	return r ? r : total;
}
