/*
 * kernel/net/netlink_private.h - between netlink.c (sockets) and netlink_route.c (what NETLINK_ROUTE answers).
 */
#ifndef IBRIK_NET_NETLINK_PRIVATE_H
#define IBRIK_NET_NETLINK_PRIVATE_H

#include "lib/list.h"
#include "lib/types.h"
#include <linux/netlink.h>

/* One datagram for the application. */
struct netlink_packet {
	struct list link;
	size_t len;
	char data[];
};

#define NETLINK_PACKET_BYTES 3584u /* glibc reads with a page */

/* What a request is answered with: complete datagrams, and the one that is being filled. */
struct netlink_answer {
	struct list packets;
	struct netlink_packet *open;
	uint32_t portid, seq;   /* of the request */
	uint16_t flags;         /* NLM_F_MULTI in a dump */
	bool failed;            /* memory was short */
	size_t bytes;           /* of all packets */
	struct nlmsghdr *head;  /* of the message that is being filled */
};

/*
 * A message with a body of that many bytes, which are zero and which the caller fills; then attributes, then netlink_message_end(). A message has
 * room for NETLINK_PACKET_BYTES in all. NULL: no memory, and nothing more is added.
 */
void *netlink_message(struct netlink_answer *a, uint16_t type, size_t body);
void netlink_attribute(struct netlink_answer *a, uint16_t type, const void *data, size_t len);
void netlink_attribute_u32(struct netlink_answer *a, uint16_t type, uint32_t v);
void netlink_attribute_u8(struct netlink_answer *a, uint16_t type, uint8_t v);
void netlink_attribute_string(struct netlink_answer *a, uint16_t type, const char *s);
void netlink_message_end(struct netlink_answer *a);

/*
 * Answers one request, whose length has been checked. 0: done without messages or with some of them; *dump is set when they are to end
 * with NLMSG_DONE. -errno goes to the application in an error message. May sleep.
 */
int netlink_route_request(const struct nlmsghdr *request, struct netlink_answer *a, bool *dump);

#endif
