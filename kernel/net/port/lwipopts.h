/*
 * kernel/net/port/lwipopts.h - how lwIP is built into this kernel; every choice that is not lwIP's own default, and why.
 *
 * Source: lwIP 2.2, src/include/lwip/opt.h.
 */
#ifndef IBRIK_NET_PORT_LWIPOPTS_H
#define IBRIK_NET_PORT_LWIPOPTS_H

#include "lib/types.h"

/* --- the kernel around it ---------------------------------------------------------------------------- */
/* One mutex (net/net.h) guards all of lwIP; sockets are the kernel's own, on the raw interface. */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
/* Ours call what is due and only that: net/timer.h, net/tcp_conn.h. */
#define LWIP_TIMERS 1
#define LWIP_TIMERS_CUSTOM 1
#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_UNISTD_H 1

/* --- memory: the kernel's allocator, counted in lwip_stats.mem; net/core.c says when it is enough ------- */
void *net_heap_alloc(size_t size);
void *net_heap_zalloc(size_t n, size_t size);
void net_heap_free(void *p);
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC net_heap_alloc
#define MEM_CUSTOM_CALLOC net_heap_zalloc
#define MEM_CUSTOM_FREE net_heap_free
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
/* Frames are received into pages of the driver (custom pbufs); lwIP's own pool is used by nothing big. */
#define LWIP_SUPPORT_CUSTOM_PBUF 1
/* A datagram to a group is referenced by every socket on its port, which may be more than 65,535. */
#define LWIP_PBUF_REF_T u32_t
/* Segments point into what a socket holds, which is freed when its connection is reset, whoever else has them: what waits for a neighbour's
 * address is a copy. */
#define PBUF_NEEDS_COPY(p) (((p)->type_internal & PBUF_TYPE_ALLOC_SRC_MASK) == PBUF_TYPE_ALLOC_SRC_MASK_STD_MEMP_PBUF)
/* Room for the header that virtio-net puts before each frame. */
#define PBUF_LINK_ENCAPSULATION_HLEN 16

/* --- link and IP ------------------------------------------------------------------------------------- */
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 1
#define ARP_TABLE_SIZE 120
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 8
#define ETHARP_TABLE_MATCH_NETIF 1
#define IP_FORWARD 0
#define IP_SOF_BROADCAST 1
#define IP_SOF_BROADCAST_RECV 0
/* Datagrams of up to 64 KiB arrive as 46 fragments; a flood of first fragments is bounded by this and by age. */
#define IP_REASS_MAX_PBUFS 200
#define MEMP_NUM_REASSDATA 16
#define IP_REASS_MAXAGE 15
#define LWIP_IPV6_REASS 1
#define LWIP_IPV6_FRAG 1
/* With pointers of 8 bytes, what reassembly notes does not fit into the header of a fragment. */
#define IPV6_FRAG_COPYHEADER 1
#define LWIP_IGMP 1
#define LWIP_IPV6_MLD 1
#define LWIP_MULTICAST_TX_OPTIONS 1
/* How UDP datagrams and ICMP errors come to the sockets, before lwIP looks at them (udp_receive.c, unreach.c). */
#define LWIP_RAW 1
#define LWIP_ICMP 1
#define LWIP_ICMP6 1
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 0

/* --- interfaces ---------------------------------------------------------------------------------------- */
#define LWIP_SINGLE_NETIF 0
#define LWIP_HAVE_LOOPIF 1
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_LOOPBACK_MAX_PBUFS 0
/* Links that come back and addresses of IPv6: net/config.c. */
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
/* The device checks and makes sums where it offers that. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* --- addresses ----------------------------------------------------------------------------------------- */
/* The client is ours (net/dhcp.c): lwIP's counts leases in minutes and believes servers more than is good. What comes for its port is
 * taken before there is an address. */
#define LWIP_DHCP 0
#define LWIP_IP_ACCEPT_UDP_PORT(port) ((port) == PP_NTOHS(68))
#define LWIP_ACD 0
#define LWIP_AUTOIP 0
/* glibc resolves names by /etc/resolv.conf (net/etc_files.c). */
#define LWIP_DNS 0
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_NUM_ADDRESSES 4
#define LWIP_IPV6_DHCP6 0
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 64
#define LWIP_ND6_NUM_PREFIXES 8
#define LWIP_ND6_NUM_ROUTERS 4
/* lwIP counts all packets that wait for neighbours in one byte, and counts up when the memory for one is not to be had, too: with any limit that the
 * byte can reach nothing would wait for ever once that has happened often enough. This one it cannot reach, so that the byte may say what it will;
 * net/neighbour.c bounds what waits. */
#define MEMP_NUM_ND6_QUEUE 256

/* --- TCP ------------------------------------------------------------------------------------------------ */
#define LWIP_TCP 1
/* The unit of retransmission. lwIP's 500 ms make the first one late; a tick is counted when a connection is looked at, and costs nothing else. */
#define TCP_SLOW_INTERVAL 100
#define LWIP_TCP_RTO_TIME 1000
#define TCP_MSL 30000UL
#define TCP_TTL 64
#define TCP_MAXRTX 12
#define TCP_SYNMAXRTX 6
/* Fits into a jumbo frame; each connection sends what its path and its peer take. */
#define TCP_MSS 8960
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#define TCP_WND (512 * 1024)
/* A peer without window scaling has 64 KiB in all. */
#define TCP_WND_UPDATE_THRESHOLD (16 * 1024)
#define TCP_SND_BUF (512 * 1024)
#define TCP_SND_QUEUELEN 2048
/* Of lwIP's own sockets, which are not built; the check of the sizes wants them small. */
#define TCP_SNDLOWAT 16384
#define TCP_SNDQUEUELOWAT 1024
#define TCP_OVERSIZE 1460
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES (512 * 1024)
/* A segment of one byte keeps a buffer of the driver, too, and each that comes is looked for among the others. */
unsigned net_ooseq_limit(void);
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) ((u16_t)net_ooseq_limit())
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 1
#define TCP_LISTEN_BACKLOG 1
#define LWIP_TCP_KEEPALIVE 1
/* The socket, and the record in our table of connections; both are told when the control block goes. */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 2
#define SO_REUSE 1
#define SO_REUSE_RXTOALL 1
/* RFC 6528: initial sequence numbers that nobody can guess. */
#define LWIP_HOOK_FILENAME "net/port/hooks.h"
#define LWIP_HOOK_TCP_ISN net_tcp_isn

/* --- statistics ------------------------------------------------------------------------------------------ */
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define MEM_STATS 1
#define MEMP_STATS 1
#define MIB2_STATS 1

/* --- checks: memory is validated by our own tests; a failed assertion is a panic with its text ------------ */
#define LWIP_DEBUG_NONE

#endif
