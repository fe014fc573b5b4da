/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For test scripts: net_perf_json FILE [KEY...] prints the value at that place (a KEY of an array is an index), or the number
 * of elements of an array or object. Exit status 1: the file is not JSON; 3: the place does not exist.
 */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

static const json_t *down(const json_t *at, const char *key)
{
	return json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
}

static void print(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING: printf("%s\n", json_string_value(v)); break;
	case JSON_INTEGER: printf("%lld\n", (long long)json_integer_value(v)); break;
	case JSON_REAL: printf("%g\n", json_real_value(v)); break;
	case JSON_ARRAY: printf("%zu\n", json_array_size(v)); break;
	case JSON_OBJECT: printf("%zu\n", json_object_size(v)); break;
	case JSON_TRUE: printf("true\n"); break;
	case JSON_FALSE: printf("false\n"); break;
	case JSON_NULL: printf("null\n"); break;
	}
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *root;
	const json_t *at;
	int i;

	if (argc < 2)
		return 2;
	root = json_load_file(argv[1], 0, &error);
	if (!root) {
		fprintf(stderr, "%s: %s, line %d\n", argv[1], error.text, error.line);
		return 1;
	}
	at = root;
	for (i = 2; i < argc && at; i++)
		at = down(at, argv[i]);
	if (at)
		print(at);
	json_decref(root);
	return at ? 0 : 3;
}
