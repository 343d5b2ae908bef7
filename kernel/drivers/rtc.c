/*
 * kernel/drivers/rtc.c - the MC146818 clock behind ports 0x70 and 0x71; see rtc.h.
 *
 * Theory:  the chip copies its counters once a second and its registers are unstable meanwhile (at most 2
 *          ms, announced by the bit "update in progress"). All registers are read twice, outside of an
 *          update, until both readings agree.
 * Source:  Motorola MC146818 data sheet; ACPI 6.5, 5.2.9 (century register).
 */
#include "drivers/rtc.h"
#include "io.h"

enum { R_SECOND = 0, R_MINUTE = 2, R_HOUR = 4, R_DAY = 7, R_MONTH = 8, R_YEAR = 9, R_A = 10, R_B = 11,
       R_CENTURY = 0x32 };
#define A_UPDATING 0x80
#define B_24_HOURS 0x02
#define B_BINARY 0x04
#define HOUR_PM 0x80

struct reading { uint8_t second, minute, hour, day, month, year, century; };

static uint8_t cmos(uint8_t index)
{
	outb(0x70, index | 0x80); /* the top bit keeps NMI off while the index is set */
	return inb(0x71);
}

static void read_registers(struct reading *r)
{
	r->second = cmos(R_SECOND);
	r->minute = cmos(R_MINUTE);
	r->hour = cmos(R_HOUR);
	r->day = cmos(R_DAY);
	r->month = cmos(R_MONTH);
	r->year = cmos(R_YEAR);
	r->century = cmos(R_CENTURY);
}

static unsigned number(uint8_t v, bool binary)
{
	return binary ? v : (v >> 4) * 10u + (v & 15);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, in years that start with March. */
static uint64_t days_before(unsigned year, unsigned month, unsigned day)
{
	uint64_t y = year - (month <= 2), m = month <= 2 ? month + 9 : month - 3;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

uint64_t rtc_read_seconds(void)
{
	struct reading a, b;
	uint8_t control;
	unsigned year, hour, century;
	bool binary, pm, stable = false;

	for (unsigned tries = 0; tries < 8 && !stable; tries++) {
		for (unsigned i = 0; i < 10000 && (cmos(R_A) & A_UPDATING); i++)
			;
		read_registers(&a);
		read_registers(&b);
		stable = !(cmos(R_A) & A_UPDATING) && !__builtin_memcmp(&a, &b, sizeof(a));
	}
	control = cmos(R_B);
	outb(0x70, 0x0d); /* NMI on again */
	inb(0x71);
	if (!stable || (a.month == 0xff && a.day == 0xff))
		return 0;
	binary = control & B_BINARY;
	pm = a.hour & HOUR_PM;
	hour = number(a.hour & 0x7f, binary);
	if (!(control & B_24_HOURS))
		hour = hour % 12 + (pm ? 12 : 0);
	century = number(a.century, binary);
	year = number(a.year, binary) + (century >= 19 && century <= 22 ? century * 100 : 2000);
	a.month = (uint8_t)number(a.month, binary);
	a.day = (uint8_t)number(a.day, binary);
	if (a.month < 1 || a.month > 12 || a.day < 1 || a.day > 31 || hour > 23 || year < 1970)
		return 0;
	return days_before(year, a.month, a.day) * 86400 + hour * 3600 + number(a.minute, binary) * 60 +
	       number(a.second, binary);
}
