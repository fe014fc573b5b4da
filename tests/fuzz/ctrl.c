/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: what passes the check is whole, and each part that the plugin reads lies inside. */
#include "fuzz/fuzz.h"

#include "wire/ctrl.h"

/* Every byte is read, so that the sanitizer sees one that is not there. */
static unsigned read_all(const void *from, size_t bytes)
{
	const volatile uint8_t *p = from;
	unsigned sum = 0;

	while (bytes--)
		sum += *p++;
	return sum;
}

static void look_at_connect(const struct wire_connect *msg)
{
	must(strlen(msg->who.host) < sizeof(msg->who.host));
	must(msg->who.rails >= 1 && msg->who.rails <= WIRE_RAILS_MAX);
	read_all(msg->who.addr, msg->who.addr_bytes);
	must(msg->who.nics >= 1 && msg->who.nics <= WIRE_NICS_MAX);
	read_all(msg->rail_addr, wire_rail_addr_bytes(&msg->who));
}

static void look_at_group(const struct wire_group *msg)
{
	must(wire_group_count(msg) >= 1 && wire_group_count(msg) <= WIRE_GROUP_MAX);
	must(!(wire_group_taken(msg) >> wire_group_count(msg)));
	read_all(msg->subs, wire_group_count(msg) * sizeof(msg->subs[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct wire_ctrl *c = malloc(bytes ? bytes : 1); /* exactly as large as what came */

	must(c);
	memcpy(c, data, bytes);
	if (!wire_ctrl_check(c, bytes)) {
		must(wire_ctrl_size(c) == bytes);
		if (c->type == WIRE_CONNECT_REQUEST || c->type == WIRE_CONNECT_RESPONSE)
			look_at_connect((struct wire_connect *)c);
		else if (c->type == WIRE_GROUP_CTS)
			look_at_group((struct wire_group *)c);
		else if (c->type == WIRE_EAGER)
			read_all(c + 1, wire_tagged_bytes(c));
	}
	free(c);
	return 0;
}
