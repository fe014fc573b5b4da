/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameter engine: reads a table of parameters from the environment into a struct, reports the origin of
 * each value, and finds misspelt names. The table itself is in conf.
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
	const char *name; /* environment variable */
	enum param_type type;
	size_t offset;			    /* offset of the value in the caller's struct */
	const char *value;		    /* default, in the user's notation */
	const char *min;		    /* lower bound in the same notation; NULL: none */
	const char *max;		    /* upper bound in the same notation; NULL: none */
	const char *unit;		    /* unit of PARAM_INT; the other types imply it */
	const char *word;		    /* of PARAM_INT: word for the value 0, which the bounds exclude; or NULL */
	const char *choices[PARAM_CHOICES]; /* values of PARAM_CHOICE, NULL-terminated unless full */
	const char *doc;		    /* one or more full sentences */
};

enum param_origin { PARAM_FROM_DEFAULT, PARAM_FROM_ENVIRONMENT };

/*
 * Fills `values` and `origins` (n entries). Returns 0, or -EINVAL for an invalid value, which keeps its default. `why`
 * then has one complete message about the first one: the variable, its value and the accepted values.
 */
int param_load(const struct param *table, size_t n, void *values, enum param_origin *origins, char *why,
	       size_t why_bytes);

/*
 * Calls `found` for every environment variable that begins with `prefix` but is not in the table, with
 * the nearest name of the table, or NULL if none is near.
 */
void param_unknown(const char *prefix, const struct param *table, size_t n,
		   void (*found)(void *arg, const char *name, const char *nearest), void *arg);

/* Formats the current value as param_load would accept it. Returns buf. */
char *param_value_text(const struct param *p, const void *values, char *buf, size_t buf_bytes);

/* Unit of a number without a suffix: "s", "bytes", "entries" or "". */
const char *param_unit(const struct param *p);

/* Describes the accepted values with bounds: "a time (...) from 2s to 1h", "off, warn, info". Returns buf. */
char *param_accepts(const struct param *p, char *buf, size_t buf_bytes);

#endif
