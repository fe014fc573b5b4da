/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages; see ctrl.h. */
#include "wire/ctrl.h"

#include <stdbool.h>
#include <string.h>

#define CTRL_MAGIC 0x7745 /* "Ew" */

void wire_ctrl_init(struct wire_ctrl *c, enum wire_type type, uint32_t to, uint32_t from)
{
	memset(c, 0, sizeof(*c));
	c->magic = CTRL_MAGIC;
	c->version = WIRE_VERSION;
	c->type = (uint8_t)type;
	c->to = to;
	c->from = from;
}

size_t wire_ctrl_bytes(uint8_t type)
{
	switch (type) {
	case WIRE_CONNECT_REQUEST:
	case WIRE_CONNECT_RESPONSE: return offsetof(struct wire_connect, rail_addr);
	case WIRE_CLEAR_TO_SEND:
	case WIRE_CLOSE:
	case WIRE_EAGER:
	case WIRE_CREDIT:
	case WIRE_WANT:
	case WIRE_FIN:
	case WIRE_GROUPS:
	case WIRE_GROUPS_READY: return sizeof(struct wire_ctrl);
	case WIRE_CLEAR_GROUP: return offsetof(struct wire_group, subs) + sizeof(struct wire_sub);
	default: return 0;
	}
}

static bool is_connect(const struct wire_ctrl *c)
{
	return c->type == WIRE_CONNECT_REQUEST || c->type == WIRE_CONNECT_RESPONSE;
}

size_t wire_ctrl_size(const struct wire_ctrl *c)
{
	size_t bytes = wire_ctrl_bytes(c->type);

	if (c->type == WIRE_EAGER)
		bytes += wire_tagged_bytes(c);
	if (c->type == WIRE_CLEAR_GROUP)
		bytes += (wire_group_count((const struct wire_group *)c) - 1u) * sizeof(struct wire_sub);
	if (is_connect(c))
		bytes += (((const struct wire_connect *)c)->who.rails - 1u) * WIRE_ADDR_BYTES;
	return bytes;
}

/* NULL, or what is wrong; the fixed part is there. */
static const char *check_connect(struct wire_connect *msg, size_t bytes)
{
	struct wire_who *who = &msg->who;

	who->host[WIRE_HOST_BYTES - 1] = 0;
	if (who->addr_bytes > WIRE_ADDR_BYTES)
		return "a connect message with an impossible address";
	if (!who->rails || who->rails > WIRE_RAILS_MAX || bytes != wire_ctrl_size(&msg->ctrl))
		return "a connect message with an impossible number of rails";
	return NULL;
}

static bool group_is_sane(const struct wire_group *g)
{
	unsigned n = wire_group_count(g);

	return n && n <= WIRE_GROUP_MAX && !(wire_group_taken(g) >> n) && !(g->ctrl.len >> 16);
}

const char *wire_ctrl_check(struct wire_ctrl *c, size_t bytes)
{
	if (bytes < sizeof(*c) || c->magic != CTRL_MAGIC)
		return "not a control message of Weft";
	if (c->version != WIRE_VERSION)
		return "a control message of an incompatible Weft version";
	if (!wire_ctrl_bytes(c->type) || bytes < wire_ctrl_bytes(c->type))
		return "a control message of unknown type or wrong size";
	if (is_connect(c))
		return check_connect((struct wire_connect *)c, bytes);
	if (c->type == WIRE_EAGER && wire_tagged_bytes(c) > WIRE_EAGER_MAX)
		return "an eager message of impossible size";
	if (c->type == WIRE_CLEAR_GROUP && !group_is_sane((const struct wire_group *)c))
		return "a group of impossible size";
	return bytes == wire_ctrl_size(c) ? NULL : "a control message of unknown type or wrong size";
}
