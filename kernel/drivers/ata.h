/*
 * kernel/drivers/ata.h - what ATA disks have in common, whatever controller they hang on.
 *
 * Source: ATA/ATAPI-8 Command Set (ACS), 7.12 (IDENTIFY DEVICE).
 */
#ifndef IBRIK_DRIVERS_ATA_H
#define IBRIK_DRIVERS_ATA_H

#include "lib/types.h"

enum ata_command {
	ATA_READ_SECTORS = 0x20, ATA_READ_SECTORS_EXT = 0x24, ATA_READ_DMA_EXT = 0x25,
	ATA_READ_DMA = 0xc8, ATA_IDENTIFY = 0xec,
};
enum ata_status {
	ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DF = 0x20, ATA_DRDY = 0x40, ATA_BSY = 0x80,
};

struct ata_identity {
	uint64_t sectors; /* of 512 bytes */
	bool lba48, dma;
};

/* From the 256 words of IDENTIFY DEVICE. -EINVAL: a disk that we cannot address. */
static inline int ata_identify_parse(const uint16_t w[256], struct ata_identity *id)
{
	if ((w[0] & 0x8000) || !(w[49] & 1u << 9)) /* not ATA, or no LBA */
		return -EINVAL;
	/* Word 106 is valid if its top bits are 01; bit 12 then means sectors larger than 512 bytes. */
	if ((w[106] & 0xc000) == 0x4000 && (w[106] & 1u << 12))
		return -EINVAL;
	id->dma = w[49] & 1u << 8;
	id->lba48 = (w[83] & 0xc000) == 0x4000 && (w[83] & 1u << 10);
	if (id->lba48)
		id->sectors = (uint64_t)w[103] << 48 | (uint64_t)w[102] << 32 | (uint64_t)w[101] << 16 | w[100];
	else
		id->sectors = (uint32_t)w[61] << 16 | w[60];
	if (id->sectors == 0 || id->sectors >> 48)
		return -EINVAL;
	return 0;
}

#endif
