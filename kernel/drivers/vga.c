/*
 * kernel/drivers/vga.c - the 80 x 25 text screen of a PC, for people who boot an image in a window.
 *
 * Theory:  the screen is used only if the firmware left the adapter in its text mode. A copy of the text
 *          in normal memory makes scrolling cheap: device memory is only written. vga_write() may
 *          be called from a panic in the middle of another call; then some characters are wrong and nothing
 *          else: every index is checked where it is used.
 * Interface: vga_init(), vga_write() (console.h)
 * Locking: none, for that reason.
 * Source:  IBM VGA registers as described in the FreeVGA project's documents.
 */
#include "drivers/console.h"
#include "io.h"
#include "mm/mm.h"

#define COLUMNS 80u
#define ROWS 25u
#define SCREEN_ADDRESS 0xb8000
#define SCREEN_BYTES (COLUMNS * ROWS * 2)
#define ATTRIBUTE 0x0700u /* grey on black */

#define GRAPHICS_INDEX 0x3ce
#define GRAPHICS_MISC 6
#define CRTC_INDEX 0x3d4
#define MISC_READ 0x3cc

static volatile uint8_t *screen;
static uint16_t cells[ROWS][COLUMNS];
static unsigned row, column;

static void draw_row(unsigned r)
{
	for (unsigned c = 0; c < COLUMNS; c += 4) {
		uint64_t four;

		__builtin_memcpy(&four, &cells[r][c], sizeof(four));
		mmio_write64(screen + (r * COLUMNS + c) * 2, four);
	}
}

static void draw_cursor(void)
{
	unsigned at = row * COLUMNS + column;

	outw(CRTC_INDEX, (uint16_t)((at >> 8) << 8 | 0x0e));
	outw(CRTC_INDEX, (uint16_t)((at & 0xff) << 8 | 0x0f));
}

static void scroll(void)
{
	__builtin_memmove(cells[0], cells[1], sizeof(cells) - sizeof(cells[0]));
	for (unsigned c = 0; c < COLUMNS; c++)
		cells[ROWS - 1][c] = ATTRIBUTE | ' ';
}

bool vga_init(void)
{
	uint8_t old, misc;

	/* No adapter answers 0xff; only the text mode maps its memory at 0xb8000 without graphics. */
	if (inb(MISC_READ) == 0xff || !(inb(MISC_READ) & 1))
		return false;
	old = inb(GRAPHICS_INDEX);
	outb(GRAPHICS_INDEX, GRAPHICS_MISC);
	misc = inb(GRAPHICS_INDEX + 1);
	outb(GRAPHICS_INDEX, old);
	if ((misc & 0x0d) != 0x0c)
		return false;
	screen = ioremap(SCREEN_ADDRESS, SCREEN_BYTES);
	if (!screen)
		return false;
	for (unsigned r = 0; r < ROWS; r++) {
		for (unsigned c = 0; c < COLUMNS; c++)
			cells[r][c] = ATTRIBUTE | ' ';
		draw_row(r);
	}
	draw_cursor();
	return true;
}

void vga_write(const char *text, size_t len)
{
	unsigned first = MIN(row, ROWS - 1);
	bool scrolled = false;

	if (!screen)
		return;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n') {
			column = COLUMNS;
		} else if (c == '\r') {
			column = 0;
		} else if (c == '\t') {
			column = ALIGN_UP(column + 1, 8u);
		} else if (c == '\b') {
			column -= column ? 1 : 0;
		} else {
			if (row < ROWS && column < COLUMNS)
				cells[row][column] = (uint16_t)(ATTRIBUTE | (c < 0x20 ? '?' : c));
			column++;
		}
		if (column >= COLUMNS) {
			column = 0;
			row++;
		}
		if (row >= ROWS) {
			scroll();
			row = ROWS - 1;
			scrolled = true;
		}
	}
	for (unsigned r = scrolled ? 0 : first; r <= row && r < ROWS; r++)
		draw_row(r);
	draw_cursor();
}
