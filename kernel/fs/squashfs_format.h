/*
 * kernel/fs/squashfs_format.h - squashfs 4.0 on disk. All numbers are little-endian.
 *
 * Source: Documentation/filesystems/squashfs.rst of Linux and "Squashfs Binary Format" (D. Goliath).
 */
#ifndef IBRIK_FS_SQUASHFS_FORMAT_H
#define IBRIK_FS_SQUASHFS_FORMAT_H

#include <stdint.h>

#define SQFS_MAGIC 0x73717368u
#define SQFS_META_BYTES 8192u       /* uncompressed size of a metadata block */
#define SQFS_META_STORED 0x8000u    /* in its 16-bit header */
#define SQFS_DATA_STORED (1u << 24) /* in a data block's size word */
#define SQFS_NO_FRAGMENT 0xffffffffu
#define SQFS_NO_TABLE UINT64_MAX
#define SQFS_COMPRESS_GZIP 1

struct sqfs_super {
	uint32_t magic, inodes, mkfs_time, block_size, fragments;
	uint16_t compression, block_log, flags, ids, major, minor;
	uint64_t root_inode, bytes_used, id_table, xattr_table, inode_table, directory_table,
		fragment_table, export_table;
} __attribute__((packed));
_Static_assert(sizeof(struct sqfs_super) == 96, "squashfs superblock");

enum sqfs_type {
	SQFS_DIR = 1, SQFS_REG, SQFS_SYMLINK, SQFS_BLKDEV, SQFS_CHRDEV, SQFS_FIFO, SQFS_SOCKET,
	SQFS_LDIR, SQFS_LREG, SQFS_LSYMLINK, SQFS_LBLKDEV, SQFS_LCHRDEV, SQFS_LFIFO, SQFS_LSOCKET,
};

struct sqfs_inode_head {
	uint16_t type, mode, uid, gid;
	uint32_t mtime, number;
} __attribute__((packed));

struct sqfs_dir_disk {
	uint32_t start, nlink;
	uint16_t size, offset;
	uint32_t parent;
} __attribute__((packed));

struct sqfs_ldir_disk {
	uint32_t nlink, size, start, parent;
	uint16_t nindex, offset;
	uint32_t xattr;
} __attribute__((packed));

struct sqfs_reg_disk {
	uint32_t start, fragment, offset, size;
} __attribute__((packed));

struct sqfs_lreg_disk {
	uint64_t start, size, sparse;
	uint32_t nlink, fragment, offset, xattr;
} __attribute__((packed));

struct sqfs_symlink_disk {
	uint32_t nlink, size;
} __attribute__((packed));

struct sqfs_dev_disk {
	uint32_t nlink, rdev;
} __attribute__((packed));

struct sqfs_dir_index {
	uint32_t index, start, name_size; /* name_size is one less */
} __attribute__((packed));

struct sqfs_dir_head {
	uint32_t count, start, inode; /* count is one less */
} __attribute__((packed));

struct sqfs_dir_entry {
	uint16_t offset;
	int16_t inode;
	uint16_t type, name_size; /* name_size is one less */
} __attribute__((packed));

struct sqfs_fragment {
	uint64_t start;
	uint32_t size, unused;
} __attribute__((packed));

#endif
