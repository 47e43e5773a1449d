// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that needs no operating system and no time to boot: a multiboot kernel
 * that keeps a diary in the first sectors of its first IDE disk. At every start
 * it reads what the starts before it wrote, adds an entry with the words of its
 * command line (diary=WORDS), says on the serial line what it did, and powers off
 * a machine of type "pc".
 *
 * With "stays" on the command line it does not power off, but fills memory with what
 * only it knows, and goes round it for ever: each time it says whether all is as it
 * should be, and so it does of a sector of the disk, in which it counts. Between
 * rounds it sleeps: emulated on an emulated host, it would leave nothing for others.
 */
#include <stdint.h>

#define MULTIBOOT_MAGIC		0x1badb002u
#define INFO_CMDLINE		0x4u

#define COM1			0x3f8
#define COM_LINE_STATUS		5
#define COM_CAN_SEND		0x20

#define ATA_DATA		0x1f0
#define ATA_COUNT		0x1f2
#define ATA_LBA_LOW		0x1f3
#define ATA_LBA_MID		0x1f4
#define ATA_LBA_HIGH		0x1f5
#define ATA_DRIVE		0x1f6
#define ATA_COMMAND		0x1f7	/* status, when it is read */
#define ATA_ERROR		0x01
#define ATA_WANTS_DATA		0x08
#define ATA_BUSY		0x80
#define ATA_MASTER_LBA		0xe0
#define ATA_READ		0x20
#define ATA_WRITE		0x30
#define ATA_FLUSH		0xe7

#define PIC_COMMAND		0x20
#define PIC_DATA		0x21
#define PIC_INIT		0x11
#define PIC_8086		0x01
#define PIC_CASCADE		0x04
#define TICK_VECTOR		8
#define TICKS_OF_SLEEP		4	/* 18 are a second */

#define CODE_SELECTOR		0x08

#define PM1A_CONTROL		0x604	/* where SeaBIOS puts it on a "pc" */
#define PM1_SLEEP_SOFT_OFF	0x2000

#define FIELD			((uint32_t *)(16u << 20))	/* what it fills */
#define FIELD_WORDS		(2u << 20)
#define LAP_SECTOR		64

#define SECTOR			512
#define ENTRIES_MAX		10	/* one digit */

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

__attribute__((section(".multiboot"), used))
static const uint32_t multiboot_header[] = { MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC };

static void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void put(const char *s)
{
	for (; *s; s++) {
		while (!(inb(COM1 + COM_LINE_STATUS) & COM_CAN_SEND))
			;
		outb(COM1, (uint8_t)*s);
	}
}

static void say(const char *what, const char *entry)
{
	put("guest: ");
	put(what);
	put(entry);
	put("\n");
}

__attribute__((noreturn))
static void power_off(void)
{
	outw(PM1A_CONTROL, PM1_SLEEP_SOFT_OFF);
	for (;;)
		__asm__ volatile("hlt");
}

/* The clock, which is all that interrupts */

struct table {
	uint16_t limit;
	const void *base;
} __attribute__((packed));

static const uint64_t segments[] = { 0, 0x00cf9a000000ffffu, 0x00cf92000000ffffu };
static uint64_t gates[TICK_VECTOR + 1];

void tick(void);
__asm__("tick:\n"
	"	push %eax\n"
	"	mov $0x20, %al\n"
	"	out %al, $0x20\n"
	"	pop %eax\n"
	"	iret\n");

static void clock_init(void)
{
	const struct table gdt = { sizeof(segments) - 1, segments }, idt = { sizeof(gates) - 1, gates };
	uint32_t at = (uint32_t)tick;

	gates[TICK_VECTOR] = (uint64_t)(at & 0xffff0000u) << 32 | 0x8e0000000000u | CODE_SELECTOR << 16 | (at & 0xffffu);
	__asm__ volatile("lgdt %0\n"
			 "	ljmp $8, $1f\n"
			 "1:	lidt %1" : : "m"(gdt), "m"(idt) : "memory");
	outb(PIC_COMMAND, PIC_INIT);
	outb(PIC_DATA, TICK_VECTOR);
	outb(PIC_DATA, PIC_CASCADE);
	outb(PIC_DATA, PIC_8086);
	outb(PIC_DATA, 0xfe);
}

static void sleep(void)
{
	unsigned int i;

	for (i = 0; i < TICKS_OF_SLEEP; i++)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* 0: the disk wants, or has, data; or with @done has finished */
static int disk_wait(int done)
{
	uint8_t status;

	do
		status = inb(ATA_COMMAND);
	while ((status & ATA_BUSY) || (!done && !(status & (ATA_WANTS_DATA | ATA_ERROR))));
	return status & ATA_ERROR;
}

static void disk_command(uint32_t sector, uint8_t command)
{
	outb(ATA_DRIVE, ATA_MASTER_LBA);
	outb(ATA_COUNT, 1);
	outb(ATA_LBA_LOW, (uint8_t)sector);
	outb(ATA_LBA_MID, 0);
	outb(ATA_LBA_HIGH, 0);
	outb(ATA_COMMAND, command);
}

static int disk_read(uint32_t sector, uint16_t *data)
{
	unsigned int i;

	disk_command(sector, ATA_READ);
	if (disk_wait(0))
		return -1;
	for (i = 0; i < SECTOR / 2; i++)
		data[i] = inw(ATA_DATA);
	return 0;
}

static int disk_write(uint32_t sector, const uint16_t *data)
{
	unsigned int i;

	disk_command(sector, ATA_WRITE);
	if (disk_wait(0))
		return -1;
	for (i = 0; i < SECTOR / 2; i++)
		outw(ATA_DATA, data[i]);
	if (disk_wait(1))
		return -1;
	outb(ATA_COMMAND, ATA_FLUSH);
	return disk_wait(1);
}

static int begins(const char *s, const char *with)
{
	while (*with)
		if (*s++ != *with++)
			return 0;
	return 1;
}

/* "entry N: WORDS", the words being those after diary= in @cmdline. */
static void compose(char *entry, unsigned int n, const char *cmdline)
{
	static const char head[] = "entry 0: ";
	unsigned int i, at = sizeof(head) - 1;

	for (i = 0; i < at; i++)
		entry[i] = head[i];
	entry[6] = (char)('0' + n);
	while (*cmdline && !begins(cmdline, "diary="))
		cmdline++;
	if (*cmdline)
		cmdline += sizeof("diary=") - 1;
	while (*cmdline && *cmdline != ' ' && at < SECTOR - 1)
		entry[at++] = *cmdline++;
	while (at < SECTOR)
		entry[at++] = '\0';
}

/* Each word from the one before, so that no page is like another, and none can be packed. */
static uint32_t next(uint32_t word)
{
	word ^= word << 13;
	word ^= word >> 17;
	return word ^ word << 5;
}

static void fill(void)
{
	static const char known[] = "what-only-the-guest-knows";
	uint32_t word = 2463534242u, i, j;

	for (i = 0; i < FIELD_WORDS; i++)
		FIELD[i] = word = next(word);
	for (i = 0; i < FIELD_WORDS; i += 1024)
		for (j = 0; j < sizeof(known); j++)
			((volatile char *)&FIELD[i])[j] = known[j];
}

/* The beginnings of pages are words, and that they are is seen elsewhere. */
static int field_is_whole(void)
{
	uint32_t word = 2463534242u, i;

	for (i = 0; i < FIELD_WORDS; i++) {
		word = next(word);
		if (i % 1024 >= 8 && ((volatile uint32_t *)FIELD)[i] != word)
			return 0;
	}
	return 1;
}

__attribute__((noreturn))
static void stay(void)
{
	static uint32_t sector[SECTOR / 4];
	uint32_t lap;

	fill();
	clock_init();
	for (lap = 1;; lap++, sleep()) {
		say(field_is_whole() ? "memory is whole" : "memory differs", "");
		if (lap > 1 && (disk_read(LAP_SECTOR, (uint16_t *)sector) || sector[0] != lap - 1))
			say("the disk differs", "");
		sector[0] = lap;
		say(disk_write(LAP_SECTOR, (uint16_t *)sector) ? "the disk cannot be written" : "the disk is as it was", "");
	}
}

static int has_word(const char *s, const char *word)
{
	while (*s && !begins(s, word))
		s++;
	return *s;
}

__attribute__((used, noreturn))
static void guest(const struct multiboot_info *info)
{
	static union {
		uint16_t words[SECTOR / 2];
		char text[SECTOR];
	} entry;
	const char *cmdline = info->flags & INFO_CMDLINE ? (const char *)(uintptr_t)info->cmdline : "";
	unsigned int n;

	for (n = 0; n < ENTRIES_MAX; n++) {
		if (disk_read(n, entry.words)) {
			say("the disk cannot be read", "");
			power_off();
		}
		entry.text[SECTOR - 1] = '\0';
		if (!begins(entry.text, "entry "))
			break;
		say("found ", entry.text);
	}
	compose(entry.text, n, cmdline);
	if (n == ENTRIES_MAX || disk_write(n, entry.words))
		say("the disk cannot be written: ", entry.text);
	else
		say("wrote ", entry.text);
	if (has_word(cmdline, "stays"))
		stay();
	power_off();
}

__asm__(".globl _start\n"
	"_start:\n"
	"	cli\n"
	"	mov $stack_top, %esp\n"
	"	push %ebx\n"
	"	call guest\n"
	".lcomm stack, 4096\n"
	".set stack_top, stack + 4096\n");
