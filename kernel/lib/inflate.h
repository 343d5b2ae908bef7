/*
 * kernel/lib/inflate.h - zlib streams, decompressed piecewise.
 *
 * The code that inflates is zlib's, built from its upstream source (Makefile); this is the glue.
 * Contexts are kept in a small pool, so that a read under memory pressure does not fail for them.
 */
#ifndef IBRIK_LIB_INFLATE_H
#define IBRIK_LIB_INFLATE_H

#include "lib/types.h"

struct inflate_io {
	/* The next piece of the compressed stream; *len 0 at its end. 0 or -errno. */
	int (*more)(struct inflate_io *io, const void **buf, size_t *len);
	/* Where the next piece of the result goes; *len 0 when nothing more is wanted. */
	void (*room)(struct inflate_io *io, void **buf, size_t *len);
};

/* Bytes produced, -EIO for a stream that is damaged or cut short, -ENOMEM, or what more() answered. */
ssize_t inflate_stream(struct inflate_io *io);

#endif
