/*
 * kernel/core/random.h - random bytes for the kernel and getrandom().
 *
 * A ChaCha20 generator keyed from RDRAND/RDSEED, virtio-rng and interrupt timing. Drivers feed
 * random_mix(); random_bytes() never sleeps and never fails. Thread context.
 */
#ifndef IBRIK_CORE_RANDOM_H
#define IBRIK_CORE_RANDOM_H

#include "lib/types.h"

void random_bytes(void *buf, size_t len);
uint64_t random_u64(void);
void random_init(void);
void random_mix(const void *data, size_t len, unsigned entropy_bits);

#endif
