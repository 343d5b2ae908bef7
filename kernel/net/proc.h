/*
 * kernel/net/proc.h - /proc/net, for fs/procfs_*.c, and what its files share.
 */
#ifndef IBRIK_NET_PROC_H
#define IBRIK_NET_PROC_H

#include "fs/genfs.h"

extern const struct gen_entry proc_net_files[];
/* /proc/ibrik/net (counters.c). */
int proc_net_counters_show(struct text *t, const struct gen_ref *ref);

/* proc_sockets.c */
int proc_net_tcp_show(struct text *t, const struct gen_ref *ref);
int proc_net_tcp6_show(struct text *t, const struct gen_ref *ref);
int proc_net_udp_show(struct text *t, const struct gen_ref *ref);
int proc_net_udp6_show(struct text *t, const struct gen_ref *ref);
int proc_net_unix_show(struct text *t, const struct gen_ref *ref);
int proc_net_sockstat_show(struct text *t, const struct gen_ref *ref);
int proc_net_sockstat6_show(struct text *t, const struct gen_ref *ref);

/* proc_snmp.c */
int proc_net_snmp_show(struct text *t, const struct gen_ref *ref);
int proc_net_snmp6_show(struct text *t, const struct gen_ref *ref);
int proc_net_netstat_show(struct text *t, const struct gen_ref *ref);

#endif
