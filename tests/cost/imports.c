/* SPDX-License-Identifier: Apache-2.0 */
/* Counting the calls of a shared object; see imports.h. x86-64 only: a counter is a few bytes of code. */
#include "imports.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __x86_64__

/* push rax; mov rax, COUNTER; lock inc qword [rax]; pop rax; jmp [rip] -> TARGET */
static const unsigned char code[] = {0x50, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x48, 0xff, 0x00,
				     0x58, 0xff, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,	   0,	 0};
enum { AT_COUNTER = 3, AT_TARGET = 22, STEP = 32 };

_Static_assert(sizeof(code) <= STEP, "a counter fits its place");

static const ElfW(Dyn) * entry(const struct link_map *map, ElfW(Sxword) tag)
{
	const ElfW(Dyn) * d;

	for (d = map->l_ld; d->d_tag != DT_NULL; d++)
		if (d->d_tag == tag)
			return d;
	return NULL;
}

/* The table is read-only after loading. */
static void put(void **slot, void *value)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)slot / page * page;

	mprotect((void *)at, page, PROT_READ | PROT_WRITE);
	*slot = value;
}

int imports_watch(void *dl, struct import **out)
{
	const ElfW(Dyn) * rel, *bytes, *sym, *str;
	const ElfW(Rela) * r;
	struct link_map *map;
	unsigned char *counters;
	size_t i, n;

	if (dlinfo(dl, RTLD_DI_LINKMAP, &map))
		return -1;
	rel = entry(map, DT_JMPREL);
	bytes = entry(map, DT_PLTRELSZ);
	sym = entry(map, DT_SYMTAB);
	str = entry(map, DT_STRTAB);
	if (!rel || !bytes || !sym || !str)
		return -1;
	n = bytes->d_un.d_val / sizeof(*r);
	*out = calloc(n, sizeof(**out));
	counters = mmap(NULL, n * STEP, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!*out || counters == MAP_FAILED)
		return -1;
	for (i = 0; i < n; i++) {
		const ElfW(Sym) * s;
		unsigned char *c = counters + i * STEP;
		uint64_t *counter = &(*out)[i].calls;
		void **slot;

		r = (const ElfW(Rela) *)rel->d_un.d_ptr + i;
		s = (const ElfW(Sym) *)sym->d_un.d_ptr + ELF64_R_SYM(r->r_info);
		slot = (void **)(map->l_addr + r->r_offset);
		(*out)[i].name = (const char *)str->d_un.d_ptr + s->st_name;
		memcpy(c, code, sizeof(code));
		memcpy(c + AT_COUNTER, &counter, sizeof(counter));
		memcpy(c + AT_TARGET, slot, sizeof(*slot));
		put(slot, c);
	}
	return (int)n;
}

#else

int imports_watch(void *dl, struct import **out)
{
	(void)dl;
	(void)out;
	return -1;
}

#endif
