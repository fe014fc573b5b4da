/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets of this process's listens; see secret.h. */
#include "peer/secret.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "wire/handle.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t *secrets;
static size_t count, room;

int secret_add(uint64_t secret)
{
	uint64_t *grown;
	size_t more;
	int ret = 0;

	pthread_mutex_lock(&lock);
	if (count == room) {
		more = room ? room * 2 : 16;
		grown = realloc(secrets, more * sizeof(*secrets));
		if (grown) {
			secrets = grown;
			room = more;
		} else {
			ret = -ENOMEM;
		}
	}
	if (!ret)
		secrets[count++] = secret;
	pthread_mutex_unlock(&lock);
	return ret;
}

void secret_remove(uint64_t secret)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < count; i++)
		if (secrets[i] == secret) {
			secrets[i] = secrets[--count];
			break;
		}
	if (!count) {
		free(secrets);
		secrets = NULL;
		room = 0;
	}
	pthread_mutex_unlock(&lock);
}

bool secret_is_ours(uint64_t secret)
{
	bool found = false;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < count; i++)
		found |= wire_secret_is(secrets[i], secret);
	pthread_mutex_unlock(&lock);
	return found;
}

void secret_forget_all(void)
{
	pthread_mutex_init(&lock, NULL);
	secrets = NULL; /* leaked: another thread may have been changing it at the fork */
	count = room = 0;
}
