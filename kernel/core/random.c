/*
 * kernel/core/random.c - see random.h.
 *
 * Theory: a ChaCha20 key and counter per machine. Output is made some blocks at a time into a pool; the first bytes of each
 * fill are the next key (fast key erasure), and what is handed out is erased from the pool, so that a later disclosure of the
 * state tells nothing about earlier output. A request is small as a rule and then costs a copy. Input empties the pool and is folded into the key by encrypting with it: key = ChaCha20(key ^ input).
 * Sources: RFC 8439 (ChaCha20); D. J. Bernstein, "Fast-key-erasure random-number generators" (2017).
 * Locking: one mutex; callers are threads. random_init() runs before there are any.
 */
#include "core/random.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "cpu.h"
#include "lib/string.h"

#define POOL_BLOCKS 8
#define POOL_BYTES ((POOL_BLOCKS * 16 - 8) * 4)

static struct mutex lock = MUTEX_INIT("random");
static uint32_t key[8];
static uint64_t counter;
static unsigned entropy;
static uint32_t pool[POOL_BLOCKS * 16 - 8]; /* output not handed out yet: its last pool_left bytes; the rest is zero */
static size_t pool_left;

static inline uint32_t rotl(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

#define QUARTER(a, b, c, d)                          \
	(a += b, d = rotl(d ^ a, 16), c += d, b = rotl(b ^ c, 12), \
	 a += b, d = rotl(d ^ a, 8), c += d, b = rotl(b ^ c, 7))

static void block(uint32_t out[16])
{
	uint32_t in[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };

	memcpy(in + 4, key, 32);
	in[12] = (uint32_t)counter;
	in[13] = (uint32_t)(counter >> 32);
	counter++;
	memcpy(out, in, 64);
	for (int i = 0; i < 10; i++) {
		QUARTER(out[0], out[4], out[8], out[12]);
		QUARTER(out[1], out[5], out[9], out[13]);
		QUARTER(out[2], out[6], out[10], out[14]);
		QUARTER(out[3], out[7], out[11], out[15]);
		QUARTER(out[0], out[5], out[10], out[15]);
		QUARTER(out[1], out[6], out[11], out[12]);
		QUARTER(out[2], out[7], out[8], out[13]);
		QUARTER(out[3], out[4], out[9], out[14]);
	}
	for (int i = 0; i < 16; i++)
		out[i] += in[i];
}

static void fold(const uint8_t *data, size_t len)
{
	uint32_t out[16];

	while (len > 0) {
		uint8_t chunk[32] = { 0 };
		size_t n = MIN(len, sizeof(chunk));
		memcpy(chunk, data, n);
		for (int i = 0; i < 8; i++) {
			uint32_t w;
			memcpy(&w, chunk + i * 4, 4);
			key[i] ^= w;
		}
		block(out);
		memcpy(key, out, 32);
		data += n;
		len -= n;
	}
}

void random_mix(const void *data, size_t len, unsigned entropy_bits)
{
	uint64_t now = rdtsc();

	mutex_lock(&lock);
	fold((const uint8_t *)&now, sizeof(now));
	fold(data, len);
	entropy += entropy_bits;
	/* What comes next depends on what has come in. */
	pool_left = 0;
	mutex_unlock(&lock);
}

/* Fills the pool; the first half of the first block becomes the key, and is nowhere else afterwards. */
static void pool_fill(void)
{
	uint32_t out[16], fresh[8];

	block(out);
	memcpy(fresh, out, sizeof(fresh));
	memcpy(pool, out + 8, 32);
	for (unsigned i = 1; i < POOL_BLOCKS; i++)
		block(pool + i * 16 - 8);
	memcpy(key, fresh, sizeof(key));
	memset(fresh, 0, sizeof(fresh));
	memset(out, 0, sizeof(out));
	pool_left = POOL_BYTES;
}

void random_bytes(void *buf, size_t len)
{
	uint8_t *to = buf;

	mutex_lock(&lock);
	while (len > 0) {
		size_t n;
		uint8_t *from;

		if (!pool_left)
			pool_fill();
		n = MIN(len, pool_left);
		from = (uint8_t *)pool + POOL_BYTES - pool_left;
		memcpy(to, from, n);
		memset(from, 0, n);
		pool_left -= n;
		to += n;
		len -= n;
	}
	mutex_unlock(&lock);
}

uint64_t random_u64(void)
{
	uint64_t v;
	random_bytes(&v, sizeof(v));
	return v;
}

static bool rdrand64(uint64_t *v)
{
	for (int i = 0; i < 10; i++) {
		bool ok;
		__asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok) : : "cc");
		if (ok)
			return true;
	}
	return false;
}

void random_init(void)
{
	uint64_t seed[16];

	for (unsigned i = 0; i < ARRAY_SIZE(seed); i++) {
		uint64_t hw = 0;
		if (cpu_features.rdrand && rdrand64(&hw))
			entropy += 64;
		/* The low bits of the time that memory and device accesses took are noise of the host. */
		seed[i] = hw ^ rdtsc() ^ clock_realtime_ns() << 17;
	}
	fold((const uint8_t *)seed, sizeof(seed));
	if (entropy < 256)
		log_info("random: no RDRAND; seeded from timing until virtio-rng answers");
}
