/* SPDX-License-Identifier: Apache-2.0 */
/* See complain.h. */
#include "complain.h"
#include "options.h"

#include <stdarg.h>
#include <stdio.h>

static char whose[128];

void complain_as(const char *who)
{
	snprintf(whose, sizeof(whose), " %s:", who);
}

void complain(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s:%s %s\n", options_program(), whose, text);
}
