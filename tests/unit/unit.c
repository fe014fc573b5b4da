/* SPDX-License-Identifier: Apache-2.0 */
/* The base of every unit test; see unit.h. */
#include "unit/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LINES 512

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	enum log_level level;
	char text[1024];
} lines[LINES];
static int line_count;

static void catch_line(enum log_level level, const char *file, int line, const char *text)
{
	(void)file;
	(void)line;
	pthread_mutex_lock(&lock);
	if (line_count < LINES) {
		lines[line_count].level = level;
		snprintf(lines[line_count].text, sizeof(lines[0].text), "%s", text);
		line_count++;
	}
	pthread_mutex_unlock(&lock);
}

void unit_log_catch(void)
{
	pthread_mutex_lock(&lock);
	line_count = 0;
	pthread_mutex_unlock(&lock);
	log_set_sink(catch_line);
}

bool unit_log_has(int level, const char *part)
{
	bool found = false;
	int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < line_count; i++)
		found |= (int)lines[i].level == level && strstr(lines[i].text, part);
	pthread_mutex_unlock(&lock);
	return found;
}

int unit_log_count(int level)
{
	int i, n = 0;

	pthread_mutex_lock(&lock);
	for (i = 0; i < line_count; i++)
		n += (int)lines[i].level == level;
	pthread_mutex_unlock(&lock);
	return n;
}

const char *unit_log_last(int level)
{
	static char text[1024];
	int i;

	text[0] = 0;
	pthread_mutex_lock(&lock);
	for (i = 0; i < line_count; i++)
		if ((int)lines[i].level == level)
			memcpy(text, lines[i].text, sizeof(text));
	pthread_mutex_unlock(&lock);
	return text;
}

void unit_not_late(int64_t since_us, const char *what)
{
	if (clock_us() - since_us > UNIT_PATIENCE_US)
		fail_msg("%s did not happen", what);
}

static FILE *captured;
static int saved_stderr;

void unit_stderr_begin(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

const char *unit_stderr_end(void)
{
	static char text[8192];
	size_t n;

	fflush(stderr);
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(captured);
	n = fread(text, 1, sizeof(text) - 1, captured);
	text[n] = 0;
	fclose(captured);
	return text;
}

int unit_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int unit_occurrences(const char *text, const char *part)
{
	int n = 0;

	while ((text = strstr(text, part))) {
		n++;
		text += strlen(part);
	}
	return n;
}

uint32_t unit_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 32);
}
