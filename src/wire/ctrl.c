/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages; see ctrl.h. */
#include "wire/ctrl.h"

size_t wire_ctrl_bytes(uint8_t type)
{
	switch (type) {
	case WIRE_CONNECT_REQUEST:
	case WIRE_CONNECT_RESPONSE: return offsetof(struct wire_connect, rail_addr);
	case WIRE_CTS:
	case WIRE_CLOSE:
	case WIRE_EAGER:
	case WIRE_CREDIT:
	case WIRE_CTS_REQUEST:
	case WIRE_CLOSE_ACK:
	case WIRE_GROUPS:
	case WIRE_GROUPS_READY: return sizeof(struct wire_ctrl);
	case WIRE_GROUP_CTS: return offsetof(struct wire_group, subs) + sizeof(struct wire_sub);
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
	if (c->type == WIRE_GROUP_CTS)
		bytes += (wire_group_count((const struct wire_group *)c) - 1u) * sizeof(struct wire_sub);
	if (is_connect(c))
		bytes += wire_rail_addr_bytes(&((const struct wire_connect *)c)->who);
	return bytes;
}

/* Returns NULL, or the error. The caller has checked that the fixed part is complete. */
static const char *check_connect(struct wire_connect *msg, size_t bytes)
{
	struct wire_who *who = &msg->who;

	who->host[WIRE_HOST_BYTES - 1] = 0;
	if (who->addr_bytes > WIRE_ADDR_BYTES)
		return "a connect message with an impossible address";
	if (!who->rails || who->rails > WIRE_RAILS_MAX || !who->nics || who->nics > WIRE_NICS_MAX ||
	    who->nics > who->rails || wire_rail_addr_bytes(who) > WIRE_RAIL_ADDR_BYTES ||
	    bytes != wire_ctrl_size(&msg->ctrl))
		return "a connect message with an impossible number of rails";
	return NULL;
}

static const char *check_eager(const struct wire_ctrl *c, size_t bytes)
{
	if (wire_tagged_bytes(c) > WIRE_EAGER_MAX)
		return "an eager message of impossible size";
	return bytes == sizeof(*c) + wire_tagged_bytes(c) ? NULL : "a control message of unknown type or wrong size";
}

static bool group_is_sane(const struct wire_group *g)
{
	unsigned n = wire_group_count(g);

	return n && n <= WIRE_GROUP_MAX && !(wire_group_taken(g) >> n) && !(g->ctrl.len >> 16);
}

const char *wire_ctrl_check(struct wire_ctrl *c, size_t bytes)
{
	if (bytes < sizeof(*c) || c->magic != WIRE_CTRL_MAGIC)
		return "not a control message of Weft";
	if (c->version != WIRE_VERSION)
		return "a control message of an incompatible Weft version";
	if (c->type == WIRE_EAGER)
		return check_eager(c, bytes);
	if (!wire_ctrl_bytes(c->type) || bytes < wire_ctrl_bytes(c->type))
		return "a control message of unknown type or wrong size";
	if (is_connect(c))
		return check_connect((struct wire_connect *)c, bytes);
	if (c->type == WIRE_GROUP_CTS && !group_is_sane((const struct wire_group *)c))
		return "a group of impossible size";
	return bytes == wire_ctrl_size(c) ? NULL : "a control message of unknown type or wrong size";
}
