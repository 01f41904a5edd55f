/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bits32 - becomes a 32-bit program
 *
 * That program is so small that it is written down here: it reads its input
 * to the end, says "intact" and exits.
 */
#include <elf.h>
#include <sys/syscall.h>

#include "target.h"

#define BASE 0x08048000u

static const uint8_t code[] = {
	0xb8, 3,    0,	  0,	0, /* 0: mov eax, 3 (read) */
	0x31, 0xdb, /* xor ebx, ebx */
	0x8d, 0x4c, 0x24, 0xf0, /* lea ecx, [esp - 16] */
	0xba, 1,    0,	  0,	0, /* mov edx, 1 */
	0xcd, 0x80, /* int 0x80 */
	0x85, 0xc0, /* test eax, eax */
	0x7f, 0xea, /* jg 0 */
	0xb8, 4,    0,	  0,	0, /* mov eax, 4 (write) */
	0xbb, 1,    0,	  0,	0, /* mov ebx, 1 */
	0xb9, 0x89, 0x80, 0x04, 0x08, /* mov ecx, the text below */
	0xba, 7,    0,	  0,	0, /* mov edx, 7 */
	0xcd, 0x80, /* int 0x80 */
	0xb8, 1,    0,	  0,	0, /* mov eax, 1 (exit) */
	0x31, 0xdb, /* xor ebx, ebx */
	0xcd, 0x80, /* int 0x80 */
	'i',  'n',  't',  'a',	'c',  't', 10,
};

static struct {
	Elf32_Ehdr ehdr;
	Elf32_Phdr phdr;
	uint8_t code[sizeof(code)];
} image = {
	.ehdr = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = BASE + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
		.e_phoff = sizeof(Elf32_Ehdr),
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 1,
	},
	.phdr = {
		.p_type = PT_LOAD,
		.p_vaddr = BASE,
		.p_filesz = sizeof(image),
		.p_memsz = sizeof(image),
		.p_flags = PF_R | PF_X,
		.p_align = 4096,
	},
};

int main(int argc, char **argv)
{
	struct target t;
	int fd;

	target_options(&t, argc, argv, "A 32-bit program.", NULL, 0);
	memcpy(image.code, code, sizeof(code));
	fd = memfd_create("bits32", 0);
	if (fd < 0 || write(fd, &image, sizeof(image)) != sizeof(image))
		err(2, "memfd");
	/* It has no memory of ours, and nothing to say when it begins. */
	printf("memory 0 0\nready\n");
	fflush(stdout);
	fexecve(fd, argv, environ);
	printf("broken no 32-bit programs here\n");
	return TARGET_SKIP;
}
