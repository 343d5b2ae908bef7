/*
 * kernel/net/net.h - the network stack: its lock, its thread, its devices.
 *
 * lwIP (2.2, raw interface) does IPv4, IPv6, TCP and UDP. All its state is guarded by one mutex, the core lock. It is taken by the
 * sockets (net/inet*.c) for what they hand over, and by the network thread for received frames and timers. What sockets keep for
 * their applications lies outside it, under a lock of each socket. Lock order: core lock, then a socket's lock.
 *
 *   net_lock()      ... calls into lwIP ...      net_unlock()
 *
 * net_unlock() first delivers what was sent to addresses of this machine, and tells devices about new frames, once for all that was
 * sent since net_lock(). Nothing may be copied from or to the application's memory under the core lock.
 *
 * A device is registered by its driver before the first program runs. Its frames go out through transmit(), and come in through
 * net_receive(), which the driver calls from poll(), which the network thread calls after net_device_wake().
 */
#ifndef IBRIK_NET_NET_H
#define IBRIK_NET_NET_H

#include "lib/types.h"
#include "lib/list.h"

struct pbuf;
struct netif;

void net_lock(void);
void net_unlock(void);

/* Once, at boot, in thread context, before drivers_init(): lwIP, the loopback interface, the families of sockets. */
void net_init(void);
/* After drivers_init(): interfaces, the thread, and the search for addresses (net/config.c). */
void net_start(void);

enum net_offload {
	NET_OFFLOAD_TX_CSUM = 1, /* the driver sees to the sums of TCP segments (net/frame.h) */
};

struct net_device {
	char name[16];        /* for log lines: the driver's name and place */
	uint8_t mac[6];
	unsigned mtu;         /* bytes of an IP packet, 1280 to 65535 */
	unsigned offload;     /* enum net_offload */
	/* Sends a frame, now or with the next flush(): p is a chain that begins with the Ethernet header, which the driver copies. 0; -ENOBUFS: there is no room now,
	 * and the driver calls net_device_wake() when the device has some, or when it finds it broken and has cleared link_up; -ENOMEM: memory is
	 * short, and nothing is under way that will give some back (TCP's timers try again). Core lock held. */
	int (*transmit)(struct net_device *dev, struct pbuf *p);
	/* Tells the device about frames that were queued since the last call. Core lock held. */
	void (*flush)(struct net_device *dev);
	/* Hands received frames to net_receive() and net_receive_large(), some `budget` buffers of them at most, and gives back what has been sent.
	 * True: there is more. Core lock held. */
	bool (*poll)(struct net_device *dev, unsigned budget);
	/* Nothing more to poll: asks for an interrupt at the next frame. True: something has come meanwhile. */
	bool (*idle)(struct net_device *dev);
	/* How many buffers wait at the device for frames, and how many frames there to be sent; NULL: it does not know. Core lock held. */
	void (*queues)(struct net_device *dev, unsigned *to_receive, unsigned *to_send);
	_Atomic bool link_up; /* false: frames to be sent are dropped, those that wait for room, too */

	/* the stack's */
	struct list link;
	struct netif *netif;
	_Atomic bool wanted;  /* poll() is to be called */
	bool flush_wanted, tx_full;
	/* Frames that wait for room, in a ring, the first at tx_first; segments that TCP keeps are not among them. NULL: none can. */
	struct pbuf **tx_waiting;
	unsigned tx_first, tx_nwaiting;
	bool tcp_first;       /* when there is room */
	uint64_t rx_frames, rx_bytes, rx_dropped, tx_frames, tx_bytes, tx_dropped;
	uint64_t rx_large, tx_large, tx_joined; /* large frames each way (counted by the driver), and how many that were sent lie in such */
};

extern struct list net_devices; /* complete after drivers_init() */

/* A hardware address for a card that has none. */
void net_mac_random(uint8_t mac[6]);
void net_device_register(struct net_device *dev);
/* From the device's interrupt: there may be something to poll. Any context. */
void net_device_wake(struct net_device *dev);
/* The link went up or down. Thread context, core lock not held. */
void net_device_link(struct net_device *dev, bool up);
#define NET_RX_SLACK 8 /* bytes behind each piece of a received frame that may be read: lwIP looks for the port of a datagram that ends before it */
/* A frame; the stack takes over the caller's reference of p. checked: the device has found the sums right. From poll(). */
void net_receive(struct net_device *dev, struct pbuf *p, bool checked);
/* The same with one that stands for many: a TCP segment of up to 64 KiB, longer than lwIP can count with what lies before it. p begins with the IP
 * packet; the Ethernet header lies in the bytes before that. */
void net_receive_large(struct net_device *dev, struct pbuf *p, bool checked);

#endif
