/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hints-object.h"

/* The Makefile says where it was compiled to. */
__asm__(".pushsection .rodata\n"
	".balign 8\n"
	".global hints_object\n"
	"hints_object:\n"
	".incbin \"" HINTS_OBJECT "\"\n"
	".global hints_object_end\n"
	"hints_object_end:\n"
	".popsection\n");
