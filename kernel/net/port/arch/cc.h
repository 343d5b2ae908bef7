/*
 * kernel/net/port/arch/cc.h - what lwIP wants to know of the compiler and of the kernel.
 */
#ifndef IBRIK_NET_PORT_ARCH_CC_H
#define IBRIK_NET_PORT_ARCH_CC_H

#include "lib/types.h"

/* core/log.h names its own things; these two are all that lwIP needs. */
void net_diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void net_assert_failed(const char *message, const char *file, int line);
uint32_t net_random(void);

#define LWIP_PLATFORM_DIAG(x) net_diag x
#define LWIP_PLATFORM_ASSERT(x) net_assert_failed(x, __FILE__, __LINE__)
#define LWIP_RAND() net_random()
/* One instruction each; lwIP's own are functions. */
#define lwip_htons(x) ((u16_t)__builtin_bswap16(x))
#define lwip_htonl(x) ((u32_t)__builtin_bswap32(x))

#endif
