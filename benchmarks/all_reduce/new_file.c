/* SPDX-License-Identifier: Apache-2.0 */
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

FILE *new_file(const char *path, const char *what)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s", path);
	for (int i = 0;; i++) {
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd >= 0) {
			printf("# Writing %s output to %s\n", what, name);
			return fdopen(fd, "w");
		}
		if (errno != EEXIST)
			break;
		snprintf(name, sizeof(name), "%s.%d", path, i);
	}
	printf("# skipping %s output; %s not accessible\n", what, path);
	return NULL;
}

void new_file_close(FILE *f, const char *what)
{
	int failed = ferror(f);

	if (fclose(f) || failed)
		fprintf(stderr, "cannot write the %s output: %s\n", what, strerror(errno));
}
