/* SPDX-License-Identifier: Apache-2.0 */
/* The parameter engine; see param.h. */
#include "base/param.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

extern char **environ;

static int choice_from_text(const struct param *p, const char *s, int64_t *out)
{
	int i;

	for (i = 0; i < PARAM_CHOICES && p->choices[i]; i++)
		if (!strcasecmp(s, p->choices[i])) {
			*out = i;
			return 0;
		}
	return -EINVAL;
}

static int number_from_text(const struct param *p, const char *s, int64_t *out)
{
	switch (p->type) {
	case PARAM_INT: return text_to_int(s, out);
	case PARAM_BOOL: return text_to_bool(s, out);
	case PARAM_BYTES: return text_to_bytes(s, out);
	case PARAM_TIME: return text_to_us(s, out);
	case PARAM_CHOICE: return choice_from_text(p, s, out);
	case PARAM_TEXT: break;
	}
	return -EINVAL;
}

static bool in_bounds(const struct param *p, int64_t v)
{
	int64_t bound;

	if (p->min && !number_from_text(p, p->min, &bound) && v < bound)
		return false;
	if (p->max && !number_from_text(p, p->max, &bound) && v > bound)
		return false;
	return true;
}

static int set(const struct param *p, const char *s, void *values)
{
	void *at = (char *)values + p->offset;
	int64_t v;

	if (p->type == PARAM_TEXT) {
		if (strlen(s) >= PARAM_TEXT_BYTES)
			return -EINVAL;
		memset(at, 0, PARAM_TEXT_BYTES);
		memcpy(at, s, strlen(s));
		return 0;
	}
	if (p->word && !strcasecmp(s, p->word))
		v = 0;
	else if (number_from_text(p, s, &v) || !in_bounds(p, v))
		return -EINVAL;
	memcpy(at, &v, sizeof(v));
	return 0;
}

int param_load(const struct param *table, size_t n, void *values, enum param_origin *origins, char *why,
	       size_t why_bytes)
{
	char accepts[256];
	int ret = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		const char *env = getenv(table[i].name);

		set(&table[i], table[i].value, values);
		origins[i] = PARAM_FROM_DEFAULT;
		if (!env || !*env)
			continue;
		if (!set(&table[i], env, values)) {
			origins[i] = PARAM_FROM_ENVIRONMENT;
		} else if (!ret) {
			ret = -EINVAL;
			snprintf(why, why_bytes, "%s=%.80s is not valid: it takes %s (default %s)", table[i].name, env,
				 param_accepts(&table[i], accepts, sizeof(accepts)),
				 *table[i].value ? table[i].value : "empty");
		}
	}
	return ret;
}

static const char *nearest_name(const char *name, const struct param *table, size_t n)
{
	const char *best = NULL;
	int best_distance = 5; /* a larger distance means another word, not a typing error */
	size_t i;

	for (i = 0; i < n; i++) {
		int d = text_distance(name, table[i].name);

		if (d < best_distance) {
			best_distance = d;
			best = table[i].name;
		}
	}
	return best;
}

void param_unknown(const char *prefix, const struct param *table, size_t n,
		   void (*found)(void *arg, const char *name, const char *nearest), void *arg)
{
	char name[128];
	char **env;
	size_t i;

	for (env = environ; env && *env; env++) {
		if (strncmp(*env, prefix, strlen(prefix)))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*env, "="), *env);
		for (i = 0; i < n && strcmp(name, table[i].name); i++)
			;
		if (i == n)
			found(arg, name, nearest_name(name, table, n));
	}
}

char *param_value_text(const struct param *p, const void *values, char *buf, size_t buf_bytes)
{
	const char *at = (const char *)values + p->offset;
	int64_t v;

	if (p->type == PARAM_TEXT) {
		snprintf(buf, buf_bytes, "%s", at);
		return buf;
	}
	memcpy(&v, at, sizeof(v));
	if (p->word && !v) {
		snprintf(buf, buf_bytes, "%s", p->word);
		return buf;
	}
	switch (p->type) {
	case PARAM_BYTES: return text_from_bytes(v, buf, buf_bytes);
	case PARAM_TIME: return text_from_us(v, buf, buf_bytes);
	case PARAM_CHOICE: snprintf(buf, buf_bytes, "%s", p->choices[v]); break;
	default: snprintf(buf, buf_bytes, "%" PRId64, v); break;
	}
	return buf;
}

const char *param_unit(const struct param *p)
{
	switch (p->type) {
	case PARAM_INT: return p->unit ? p->unit : "";
	case PARAM_BYTES: return "bytes";
	case PARAM_TIME: return "s";
	default: return "";
	}
}

char *param_accepts(const struct param *p, char *buf, size_t buf_bytes)
{
	static const char *const kinds[] = {
		[PARAM_TEXT] = "text of at most 255 characters",
		[PARAM_INT] = "a whole number",
		[PARAM_BOOL] = "0 or 1",
		[PARAM_BYTES] = "bytes (K, M, G allowed)",
		[PARAM_TIME] = "a time (us, ms, s, m, h; seconds without a unit)",
	};
	size_t used = 0;
	int i;

	if (p->type != PARAM_CHOICE) {
		used = (size_t)snprintf(buf, buf_bytes, "%s%s%s", p->word ? p->word : "", p->word ? " or " : "",
					kinds[p->type]);
		if (p->min && p->max && used < buf_bytes)
			snprintf(buf + used, buf_bytes - used, " from %s to %s", p->min, p->max);
		return buf;
	}
	buf[0] = 0;
	for (i = 0; i < PARAM_CHOICES && p->choices[i] && used < buf_bytes; i++)
		used += (size_t)snprintf(buf + used, buf_bytes - used, "%s%s", i ? ", " : "", p->choices[i]);
	return buf;
}
