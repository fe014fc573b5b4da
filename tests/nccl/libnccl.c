/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the local functions of a libnccl.so.2 in its symbol table, and the function table of the chosen network in a
 * simulated communicator. See libnccl.h for its limits.
 */
#include "libnccl.h"

#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLDEST_NATIVE 8
#define NEWEST_NATIVE 12

/* Far larger than any release's communicator; untouched pages cost nothing. */
#define COMM_BLOCK_BYTES ((size_t)64 << 20)

/* The library file, mapped. */
struct elf_image {
	const char *path;
	const unsigned char *bytes;
	size_t len_bytes;
};

static int image_open(struct elf_image *img, const char *path)
{
	struct stat st;
	void *map;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		fprintf(stderr, "%s: cannot map: %s\n", path, strerror(errno));
		return -1;
	}
	*img = (struct elf_image){.path = path, .bytes = map, .len_bytes = (size_t)st.st_size};
	return 0;
}

static void image_close(struct elf_image *img)
{
	munmap((void *)(uintptr_t)img->bytes, img->len_bytes);
}

/* The bytes of a range of the file, or NULL if it exceeds the file. */
static const void *image_at(const struct elf_image *img, uint64_t offset, uint64_t len_bytes)
{
	if (offset > img->len_bytes || len_bytes > img->len_bytes - offset)
		return NULL;
	return img->bytes + offset;
}

/* The section headers and their number, or NULL if the file is no 64-bit ELF file with sections. */
static const Elf64_Shdr *image_sections(const struct elf_image *img, size_t *out_n)
{
	const Elf64_Ehdr *eh = image_at(img, 0, sizeof(*eh));

	if (!eh || memcmp(eh->e_ident, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	*out_n = eh->e_shnum;
	return image_at(img, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr));
}

struct wanted {
	const char *name;
	uintptr_t address; /* 0: not found */
};

static void match_symbol(struct wanted *want, const char *name, uintptr_t address)
{
	for (; want->name; want++) {
		if (!strcmp(name, want->name))
			want->address = address;
	}
}

/* Finds the wanted functions in .symtab, which holds local symbols too; .dynsym does not. */
static bool find_symbols(const struct elf_image *img, uintptr_t load_address, struct wanted *want)
{
	size_t nsections = 0, i, j;
	const Elf64_Shdr *sections = image_sections(img, &nsections);
	bool found = false;

	for (i = 0; sections && i < nsections; i++) {
		const Elf64_Shdr *sh = &sections[i], *strings_sh;
		const Elf64_Sym *symbols;
		const char *strings;

		if (sh->sh_type != SHT_SYMTAB || sh->sh_link >= nsections)
			continue;
		strings_sh = &sections[sh->sh_link];
		symbols = image_at(img, sh->sh_offset, sh->sh_size);
		strings = image_at(img, strings_sh->sh_offset, strings_sh->sh_size);
		if (!symbols || !strings || !strings_sh->sh_size || strings[strings_sh->sh_size - 1])
			continue;
		found = true;
		for (j = 0; j < sh->sh_size / sizeof(*symbols); j++) {
			if (ELF64_ST_TYPE(symbols[j].st_info) == STT_FUNC && symbols[j].st_name < strings_sh->sh_size)
				match_symbol(want, strings + symbols[j].st_name, load_address + symbols[j].st_value);
		}
	}
	return found;
}

/*
 * The core uses the newest version that it looks for, whatever the release number. The names are among its constants;
 * the device code, most of the file, is skipped.
 */
static int newest_net_version(const struct elf_image *img)
{
	static const char prefix[] = "ncclNetPlugin_v";
	size_t nsections = 0, i;
	const Elf64_Shdr *sections = image_sections(img, &nsections);
	int newest = 0;

	for (i = 0; sections && i < nsections; i++) {
		const Elf64_Shdr *sh = &sections[i];
		const char *at, *end;

		if (sh->sh_type != SHT_PROGBITS || sh->sh_flags & (SHF_WRITE | SHF_EXECINSTR) ||
		    !(sh->sh_flags & SHF_ALLOC) || sh->sh_size > ((size_t)16 << 20))
			continue;
		at = image_at(img, sh->sh_offset, sh->sh_size);
		end = at ? at + sh->sh_size : NULL;
		while (at && (at = memmem(at, (size_t)(end - at), prefix, sizeof(prefix) - 1))) {
			int version = 0;

			for (at += sizeof(prefix) - 1; at < end && isdigit(*at); at++)
				version = version * 10 + (*at - '0');
			if (version > newest)
				newest = version;
		}
	}
	return newest;
}

/* Sets the functions from the file of lib->dl. Returns like nccl_lib_open. */
static int find_functions(struct nccl_lib *lib, const struct link_map *map)
{
	enum { LOAD_ONCE, LOAD, INIT, FINALIZE, UNLOAD, READ, WRITE };
	struct wanted want[] = {
		[LOAD_ONCE] = {"_Z17ncclNetPluginInitv", 0},
		[LOAD] = {"_Z17ncclNetPluginLoadP8ncclComm", 0},
		[INIT] = {"_Z11ncclNetInitP8ncclComm", 0},
		[FINALIZE] = {"_Z15ncclNetFinalizeP8ncclComm", 0},
		[UNLOAD] = {"_Z19ncclNetPluginUnloadP8ncclComm", 0},
		[READ] = {"_Z22ncclTopoGetXmlFromFilePKcP7ncclXmli", 0},
		[WRITE] = {"_Z21ncclTopoDumpXmlToFilePKcP7ncclXml", 0},
		{NULL, 0},
	};
	struct elf_image img;
	bool symtab;

	if (image_open(&img, map->l_name))
		return -1;
	symtab = find_symbols(&img, map->l_addr, want);
	lib->native = newest_net_version(&img);
	image_close(&img);
	if (!symtab) {
		fprintf(stderr, "%s has no symbol table (stripped)\n", map->l_name);
		return 1;
	}
	lib->load_once = (int (*)(void))want[LOAD_ONCE].address;
	lib->load = (int (*)(void *))want[LOAD].address;
	lib->init = (int (*)(void *))want[INIT].address;
	lib->finalize = (int (*)(void *))want[FINALIZE].address;
	lib->unload = (int (*)(void *))want[UNLOAD].address;
	lib->read_topology = (int (*)(const char *, void *, int))want[READ].address;
	lib->write_topology = (int (*)(const char *, void *))want[WRITE].address;
	if (!lib->init || (!lib->finalize && !lib->load_once) || !lib->load != !lib->unload) {
		fprintf(stderr, "%s has no function %s\n", map->l_name,
			!lib->init ? want[INIT].name : want[FINALIZE].name);
		return 1;
	}
	return 0;
}

int nccl_lib_open(struct nccl_lib *lib, const char *path)
{
	int (*get_version)(int *);
	struct link_map *map;
	int rc;

	memset(lib, 0, sizeof(*lib));
	lib->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib->dl || dlinfo(lib->dl, RTLD_DI_LINKMAP, &map)) {
		fprintf(stderr, "cannot load NCCL: %s\n", dlerror());
		return -1;
	}
	get_version = (int (*)(int *))(uintptr_t)dlsym(lib->dl, "ncclGetVersion");
	if (!get_version || get_version(&lib->version)) {
		fprintf(stderr, "%s: ncclGetVersion does not answer\n", path);
		return -1;
	}
	rc = find_functions(lib, map);
	if (rc)
		return rc;
	if (lib->native < OLDEST_NATIVE || lib->native > NEWEST_NATIVE) {
		fprintf(stderr, "%s speaks version %d of the net interface, this test %d to %d\n", path, lib->native,
			OLDEST_NATIVE, NEWEST_NATIVE);
		return 1;
	}
	return 0;
}

/* A range, and the test that it lies inside one loaded segment with all of the flags (PF_R, PF_X). */
struct range {
	uintptr_t start;
	size_t len_bytes;
	Elf64_Word flags;
	bool found;
};

static int match_segment(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range *r = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *ph = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && (ph->p_flags & r->flags) == r->flags && r->start >= start &&
		    r->start - start < ph->p_memsz && r->len_bytes <= ph->p_memsz - (r->start - start))
			r->found = true;
	}
	return r->found;
}

static bool is_loaded(uintptr_t start, size_t len_bytes, Elf64_Word flags)
{
	struct range r = {.start = start, .len_bytes = len_bytes, .flags = flags};

	dl_iterate_phdr(match_segment, &r);
	return r.found;
}

static bool is_name(uintptr_t at)
{
	size_t len = 0;

	while (is_loaded(at + len, 1, PF_R)) {
		unsigned char c = *(const unsigned char *)(at + len);

		if (!c)
			return len > 0;
		if (!isprint(c) || ++len > 64)
			return false;
	}
	return false;
}

/* A net table: a name, followed by functions, of which init to regMr are always present. */
static bool is_net_table(uintptr_t at)
{
	const uintptr_t *entry = (const uintptr_t *)at;

	if (at % sizeof(void *) || !is_loaded(at, 19 * sizeof(void *), PF_R) || !is_name(entry[0]))
		return false;
	for (int i = 1; i <= 7; i++) {
		if (!is_loaded(entry[i], 1, PF_X))
			return false;
	}
	return true;
}

static const void *find_net_table(const void *block)
{
	const uintptr_t *word = block;

	for (size_t i = 0; i < COMM_BLOCK_BYTES / sizeof(*word); i++) {
		if (word[i] && is_net_table(word[i]))
			return (const void *)word[i];
	}
	return NULL;
}

static int step(const char *what, int result)
{
	if (!result)
		return 0;
	fprintf(stderr, "NCCL's %s returned %d\n", what, result);
	return -1;
}

static int open_network(struct nccl_lib *lib, struct nccl_comm *comm)
{
	if (lib->load_once && !lib->process_loaded) {
		if (step("ncclNetPluginInit", lib->load_once()))
			return -1;
		lib->process_loaded = 1;
	}
	if (lib->load && step("ncclNetPluginLoad", lib->load(comm->block)))
		return -1;
	if (step("ncclNetInit", lib->init(comm->block)))
		return -1;
	comm->net.entries = find_net_table(comm->block);
	comm->net.version = lib->native;
	if (comm->net.entries)
		return 0;
	fprintf(stderr, "ncclNetInit left no function table in the communicator\n");
	return -1;
}

int nccl_comm_open(struct nccl_lib *lib, struct nccl_comm *comm)
{
	void *block = mmap(NULL, COMM_BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);

	memset(comm, 0, sizeof(*comm));
	if (block == MAP_FAILED) {
		fprintf(stderr, "no memory for a communicator: %s\n", strerror(errno));
		return -1;
	}
	comm->block = block;
	if (!open_network(lib, comm))
		return 0;
	munmap(block, COMM_BLOCK_BYTES);
	comm->block = NULL;
	return -1;
}

int nccl_comm_close(struct nccl_lib *lib, struct nccl_comm *comm)
{
	int rc = 0;

	if (lib->finalize)
		rc |= step("ncclNetFinalize", lib->finalize(comm->block));
	if (lib->unload)
		rc |= step("ncclNetPluginUnload", lib->unload(comm->block));
	munmap(comm->block, COMM_BLOCK_BYTES);
	memset(comm, 0, sizeof(*comm));
	return rc;
}

const char *nccl_comm_net_name(const struct nccl_comm *comm)
{
	return *(const char *const *)comm->net.entries;
}

/* NCCL logs `Loaded net plugin <name> (v<N>)` when it puts an adapter in front of a plugin. */
static int abi_from_log(const char *name, const char *log_path)
{
	static const char words[] = "Loaded net plugin ";
	char line[2048];
	int abi = 0;
	FILE *f = fopen(log_path, "re");

	if (!f) {
		fprintf(stderr, "%s: %s\n", log_path, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, words);
		size_t len = strlen(name);

		if (at && !strncmp(at + strlen(words), name, len))
			sscanf(at + strlen(words) + len, " (v%d)", &abi);
	}
	fclose(f);
	return abi;
}

int nccl_comm_abi(const struct nccl_comm *comm, const char *log_path)
{
	static const char prefix[] = "ncclNetPlugin_v";
	Dl_info info;

	/* No adapter: the table in use is an object exported by the plugin. */
	if (dladdr(comm->net.entries, &info) && info.dli_sname && info.dli_saddr == comm->net.entries &&
	    !strncmp(info.dli_sname, prefix, sizeof(prefix) - 1))
		return atoi(info.dli_sname + sizeof(prefix) - 1);
	return abi_from_log(nccl_comm_net_name(comm), log_path);
}
