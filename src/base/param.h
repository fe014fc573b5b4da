/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameter engine: reads a table of parameters from the environment into a struct, says where each
 * value came from, and finds misspelt names. The table itself is conf's.
 *
 * Every number, switch and choice is stored as int64_t (bytes, microseconds, index of the choice), every
 * text as char[PARAM_TEXT_BYTES], at the entry's offset in the caller's struct.
 */
#ifndef WEFT_BASE_PARAM_H
#define WEFT_BASE_PARAM_H

#include <stddef.h>
#include <stdint.h>

#define PARAM_TEXT_BYTES 256
#define PARAM_CHOICES	 6

enum param_type { PARAM_TEXT, PARAM_INT, PARAM_BOOL, PARAM_BYTES, PARAM_TIME, PARAM_CHOICE };

struct param {
	const char *name;  /* environment variable */
	enum param_type type;
	size_t offset;	   /* of the value in the caller's struct */
	const char *value; /* default, as a user would write it */
	const char *min;   /* bounds in the same form; NULL: none */
	const char *max;
	const char *unit;  /* of PARAM_INT: what is counted; the other types imply it */
	const char *choices[PARAM_CHOICES]; /* of PARAM_CHOICE, NULL-terminated */
	const char *doc;   /* one or more full sentences */
};

enum param_origin { PARAM_FROM_DEFAULT, PARAM_FROM_ENVIRONMENT };

/*
 * Fills `values` and `origins` (n entries). On a bad value returns -EINVAL with one complete message in
 * `why`: the variable, its value, what is accepted. The value then keeps its default.
 */
int param_load(const struct param *table, size_t n, void *values, enum param_origin *origins,
	       char *why, size_t why_bytes);

/*
 * Calls `found` for every environment variable that begins with `prefix` but is not in the table, with
 * the nearest name of the table, or NULL when none is near.
 */
void param_unknown(const char *prefix, const struct param *table, size_t n,
		   void (*found)(void *arg, const char *name, const char *nearest), void *arg);

/* The current value as text that param_load would accept. Returns buf. */
char *param_value_text(const struct param *p, const void *values, char *buf, size_t buf_bytes);

/* "s", "bytes", "entries", "": what a number without a suffix counts. */
const char *param_unit(const struct param *p);

/* "a time (...) from 2s to 1h", "off, warn, info": what a user may write, with bounds. Returns buf. */
char *param_accepts(const struct param *p, char *buf, size_t buf_bytes);

#endif
