/* SPDX-License-Identifier: Apache-2.0 */
#include "patch.h"

#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, THUNKS_BYTES = 64 << 10, THUNK_BYTES = 48 };

static int unsupported_result;

/* Reports the unsupported call made by the library. */
static int unsupported(const char *name)
{
	fprintf(stderr, "NCCL calls %s, which the stand-in for CUDA does not have\n", name);
	return unsupported_result;
}

/* movabs $v, register: two bytes of code, then the value. */
static unsigned char *load(unsigned char *at, unsigned char rex, unsigned char op, uintptr_t v)
{
	at[0] = rex;
	at[1] = op;
	memcpy(at + 2, &v, sizeof(v));
	return at + 2 + sizeof(v);
}

/* Jumps through rax, which carries no argument. */
static unsigned char *jump(unsigned char *at, uintptr_t to)
{
	at = load(at, 0x48, 0xb8, to);
	at[0] = 0xff;
	at[1] = 0xe0;
	return at + 2;
}

static int overwrite(uintptr_t function, uintptr_t to)
{
	uintptr_t page = function & ~(uintptr_t)(PAGE_BYTES - 1);

	if (mprotect((void *)page, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC)) {
		fprintf(stderr, "cannot make code writable: %s\n", strerror(errno));
		return -1;
	}
	jump((unsigned char *)function, to);
	return 0;
}

/* A function that reports its own name; NULL if there is no room. */
static unsigned char *make_thunk(const char *name)
{
	static unsigned char *next, *end;
	unsigned char *made;

	if (!next) {
		next = mmap(NULL, THUNKS_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (next == MAP_FAILED)
			return NULL;
		end = next + THUNKS_BYTES;
	}
	if (end - next < THUNK_BYTES)
		return NULL;
	made = next;
	jump(load(made, 0x48, 0xbf, (uintptr_t)name), (uintptr_t)unsupported);
	next += THUNK_BYTES;
	return made;
}

static bool is_runtime_call(const char *name)
{
	return !strncmp(name, "cuda", 4) && isupper((unsigned char)name[4]);
}

/* 1: replaced, 0: not to be replaced, -1: failed. */
static int replace(const char *name, uintptr_t at, const struct patch *patches)
{
	uintptr_t to = 0;

	for (const struct patch *p = patches; p->name && !to; p++)
		if (!strcmp(p->name, name))
			to = (uintptr_t)p->to;
	if (!to && is_runtime_call(name))
		to = (uintptr_t)make_thunk(name);
	if (!to)
		return 0;
	return overwrite(at, to) ? -1 : 1;
}

static int replace_all(const unsigned char *file, uintptr_t load_address, const struct patch *patches)
{
	const Elf64_Ehdr *eh = (const void *)file;
	const Elf64_Shdr *sections = (const void *)(file + eh->e_shoff);
	int replaced = 0;

	for (int i = 0; i < eh->e_shnum; i++) {
		const Elf64_Sym *symbols = (const void *)(file + sections[i].sh_offset);
		const char *names;

		if (sections[i].sh_type != SHT_SYMTAB)
			continue;
		names = (const char *)file + sections[sections[i].sh_link].sh_offset;
		for (size_t s = 0; s < sections[i].sh_size / sizeof(*symbols); s++) {
			int done = ELF64_ST_TYPE(symbols[s].st_info) != STT_FUNC || !symbols[s].st_value
					   ? 0
					   : replace(names + symbols[s].st_name, load_address + symbols[s].st_value,
						     patches);

			if (done < 0)
				return -1;
			replaced += done;
		}
	}
	return replaced;
}

int patch_library(void *dl, const struct patch *patches, int unsupported_is)
{
	struct link_map *map;
	struct stat st;
	void *file;
	int fd;

	unsupported_result = unsupported_is;
	if (dlinfo(dl, RTLD_DI_LINKMAP, &map)) {
		fprintf(stderr, "%s\n", dlerror());
		return -1;
	}
	fd = open(map->l_name, O_RDONLY | O_CLOEXEC);
	/* The file stays mapped: the thunks refer to its names. */
	file = fd < 0 || fstat(fd, &st) ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (file == MAP_FAILED) {
		fprintf(stderr, "%s: %s\n", map->l_name, strerror(errno));
		return -1;
	}
	return replace_all(file, map->l_addr, patches);
}
