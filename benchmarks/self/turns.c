/* SPDX-License-Identifier: Apache-2.0 */
/* See turns.h. */
#include "turns.h"

#include <pthread.h>
#include <semaphore.h>

static unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8)));
static pthread_barrier_t started, listening, connected;
static sem_t turn[2];	   /* of the receiver, of the sender */
static int unfinished = 2; /* number of unfinished ends; accessed only by the thread whose turn it is */

static void open_end(struct end *e, const struct load *l, bool sends)
{
	pthread_barrier_wait(&started); /* before the plugin starts threads of its own */
	if (!sends)
		end_listen(e, l, handle);
	pthread_barrier_wait(&listening);
	while (!(sends ? end_connect(e, l, handle) : end_accept(e)))
		;
	pthread_barrier_wait(&connected);
}

/* A separate function, because instructions.sh counts the instructions inside it by name. */
__attribute__((noinline)) static void take_turn(struct end *e)
{
	int i;

	if (e->sends) {
		for (i = 0; i < ENDS_DEPTH && end_post(e); i++)
			;
		while (end_test(e))
			;
	} else {
		while (end_test(e))
			;
		for (i = 0; i < ENDS_DEPTH && end_post(e); i++)
			;
	}
}

static void move(struct end *e)
{
	bool finished = false;
	int left;

	do {
		sem_wait(&turn[e->sends]);
		take_turn(e);
		if (!finished && end_finished(e)) {
			finished = true;
			unfinished--;
		}
		left = unfinished;
		sem_post(&turn[!e->sends]);
	} while (left);
}

static void *play(const struct load *load, bool sends)
{
	struct end e = {0};

	open_end(&e, load, sends);
	move(&e);
	end_close(&e);
	return NULL;
}

static void *receive(void *load)
{
	return play(load, false);
}

static void *send(void *load)
{
	return play(load, true);
}

void turns(const struct load *l)
{
	pthread_t receiver, sender;

	pthread_barrier_init(&started, NULL, 2);
	pthread_barrier_init(&listening, NULL, 2);
	pthread_barrier_init(&connected, NULL, 2);
	sem_init(&turn[0], 0, 1);
	sem_init(&turn[1], 0, 0);
	if (pthread_create(&receiver, NULL, receive, (void *)l) || pthread_create(&sender, NULL, send, (void *)l))
		ends_quit("starting a thread");
	pthread_join(receiver, NULL);
	pthread_join(sender, NULL);
}
