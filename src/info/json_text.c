/* SPDX-License-Identifier: Apache-2.0 */
/* JSON strings from the machine's text. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "info/info.h"

/* Length in bytes of the first UTF-8 character of s, or 0: invalid. */
static size_t utf8_bytes(const char *s)
{
	size_t n;

	for (n = 1; n <= 4 && (n == 1 || s[n - 1]); n++) {
		json_t *one = json_stringn(s, n);

		if (one) {
			json_decref(one);
			return n;
		}
	}
	return 0;
}

/* JSON must be UTF-8, but names and paths of the machine may contain any bytes. */
json_t *info_json_text(const char *s)
{
	static const char instead[] = "\xef\xbf\xbd"; /* U+FFFD */
	json_t *whole = json_string(s);
	size_t used = 0, n;
	char *clean;

	if (whole)
		return whole;
	clean = malloc(strlen(s) * (sizeof(instead) - 1) + 1);
	while (clean && *s) {
		n = utf8_bytes(s);
		memcpy(clean + used, n ? s : instead, n ? n : sizeof(instead) - 1);
		used += n ? n : sizeof(instead) - 1;
		s += n ? n : 1;
	}
	whole = clean ? json_stringn(clean, used) : NULL;
	free(clean);
	return whole;
}
