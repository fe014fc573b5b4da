/* SPDX-License-Identifier: Apache-2.0 */
/* wire: the handle, the control messages and the clear-to-sends, intact and damaged. */
#include "unit/unit.h"

#include <string.h>

#include "wire/cts.h"
#include "wire/ctrl.h"
#include "wire/handle.h"

static void good_handle(struct wire_handle *h)
{
	wire_handle_init(h);
	h->addr_bytes = 16;
	h->listen_id = 1 << 20;
	h->lifeline_family = 4;
	h->lifeline_port = 4711;
	h->fingerprint = wire_fingerprint("tcp");
	wire_handle_seal(h);
}

static void handle_layout(void **state)
{
	struct wire_handle h;

	(void)state;
	memset(&h, 0xff, sizeof(h));
	wire_handle_init(&h);
	assert_memory_equal(&h, "WEFT\x07\x00", 6);
	assert_int_equal(h.mark, 0);
	assert_int_equal(h.checksum, 0);
	assert_int_equal(offsetof(struct wire_handle, version), 4);
	assert_int_equal(offsetof(struct wire_handle, addr_bytes), 6);
	assert_int_equal(offsetof(struct wire_handle, lifeline_family), 7);
	assert_int_equal(offsetof(struct wire_handle, listen_id), 8);
	assert_int_equal(offsetof(struct wire_handle, pid), 12);
	assert_int_equal(offsetof(struct wire_handle, uuid), 16);
	assert_int_equal(offsetof(struct wire_handle, lifeline_port), 32);
	assert_int_equal(offsetof(struct wire_handle, fingerprint), 34);
	assert_int_equal(offsetof(struct wire_handle, checksum), 36);
	assert_int_equal(offsetof(struct wire_handle, lifeline_ip), 40);
	assert_int_equal(offsetof(struct wire_handle, addr), 56);
	assert_int_equal(offsetof(struct wire_handle, secret), 112);
	assert_int_equal(offsetof(struct wire_handle, mark), 120);
	assert_non_null(wire_handle_check(&h)); /* it has no address and no listen yet */
}

enum verdict { GOOD, FOREIGN, OTHER_VERSION, DAMAGED };

static enum verdict judge(const struct wire_handle *h)
{
	const char *wrong = wire_handle_check(h);

	if (!wrong)
		return GOOD;
	if (strstr(wrong, "not a Weft handle"))
		return FOREIGN;
	if (strstr(wrong, "version"))
		return OTHER_VERSION;
	return DAMAGED;
}

/* Impossible values are detected even with a correct checksum. */
static void handle_values(void **state)
{
	struct wire_handle h;
	int family, bytes;

	(void)state;
	good_handle(&h);
	assert_int_equal(judge(&h), GOOD);
	for (bytes = 0; bytes < 256; bytes++) {
		good_handle(&h);
		h.addr_bytes = (uint8_t)bytes;
		wire_handle_seal(&h);
		assert_int_equal(judge(&h), bytes >= 1 && bytes <= WIRE_HANDLE_ADDR_BYTES ? GOOD : DAMAGED);
	}
	for (family = 0; family < 256; family++) {
		good_handle(&h);
		h.lifeline_family = (uint8_t)family;
		wire_handle_seal(&h);
		assert_int_equal(judge(&h), family == 0 || family == 4 || family == 6 ? GOOD : DAMAGED);
	}
	good_handle(&h);
	h.listen_id = 0;
	wire_handle_seal(&h);
	assert_int_equal(judge(&h), DAMAGED);
	memset(&h, 0, sizeof(h));
	assert_int_equal(judge(&h), FOREIGN);
	memset(&h, 0xff, sizeof(h));
	assert_int_equal(judge(&h), FOREIGN);
}

static void handle_seal_covers_everything(void **state)
{
	struct wire_handle h;
	uint32_t sum;

	(void)state;
	good_handle(&h);
	sum = h.checksum;
	wire_handle_seal(&h); /* sealing again has no effect */
	assert_int_equal(h.checksum, sum);
	h.mark = 0x1234567812345678;
	assert_int_equal(judge(&h), GOOD); /* the mark belongs to the connecting side */
	h.addr[WIRE_HANDLE_ADDR_BYTES - 1] = 1;
	assert_int_equal(judge(&h), DAMAGED);
	wire_handle_seal(&h);
	assert_int_equal(judge(&h), GOOD);
}

/* Flips every bit of the handle in turn. */
static void handle_every_bit(void **state)
{
	struct wire_handle good, h;
	unsigned char *bytes = (unsigned char *)&h;
	size_t bit;

	(void)state;
	good_handle(&good);
	for (bit = 0; bit < sizeof(h) * 8; bit++) {
		size_t at = bit / 8;

		h = good;
		bytes[at] = (unsigned char)(bytes[at] ^ 1u << bit % 8);
		if (at < offsetof(struct wire_handle, version))
			assert_int_equal(judge(&h), FOREIGN);
		else if (at < offsetof(struct wire_handle, addr_bytes))
			assert_int_equal(judge(&h), OTHER_VERSION);
		else if (at < offsetof(struct wire_handle, mark))
			assert_int_equal(judge(&h), DAMAGED);
		else
			assert_int_equal(judge(&h), GOOD);
	}
}

/* Changes several bytes at once: the handle is accepted only if it is intact. */
static void handle_fuzz(void **state)
{
	struct wire_handle good, h;
	unsigned char *bytes = (unsigned char *)&h;
	uint64_t seed = 2;
	int round, n;

	(void)state;
	good_handle(&good);
	for (round = 0; round < 100000; round++) {
		h = good;
		for (n = (int)(unit_random(&seed) % 8); n >= 0; n--)
			bytes[unit_random(&seed) % sizeof(h)] = (unsigned char)unit_random(&seed);
		if (!wire_handle_check(&h))
			assert_memory_equal(&h, &good, offsetof(struct wire_handle, mark));
	}
}

/* Two secrets that differ in any single bit are different. */
static void secrets_differ_in_every_bit(void **state)
{
	uint64_t secret = 0x0123456789abcdef;
	int bit;

	(void)state;
	assert_true(wire_secret_is(secret, secret));
	assert_true(wire_secret_is(0, 0));
	for (bit = 0; bit < 64; bit++)
		assert_false(wire_secret_is(secret, secret ^ 1ull << bit));
}

static void provider_tags(void **state)
{
	static const char *const names[] = {"tcp", "tcp;ofi_rxm",   "sockets",	   "shm", "sm2",
					    "efa", "verbs;ofi_rxm", "udp;ofi_rxd", ""};
	size_t i, j;

	(void)state;
	assert_int_equal(wire_fingerprint("net"), wire_fingerprint("tcp"));
	for (i = 0; i < COUNT(names); i++)
		for (j = 0; j < i; j++)
			assert_int_not_equal(wire_fingerprint(names[i]), wire_fingerprint(names[j]));
}

static void ctrl_layout(void **state)
{
	struct wire_ctrl c;

	(void)state;
	memset(&c, 0xff, sizeof(c));
	wire_ctrl_init(&c, WIRE_CLOSE, 0x11, 0x22);
	assert_int_equal(c.type, WIRE_CLOSE);
	assert_int_equal(c.version, WIRE_VERSION);
	assert_int_equal(c.to, 0x11);
	assert_int_equal(c.from, 0x22);
	assert_int_equal(c.seq, 0);
	assert_int_equal(c.len, 0);
	assert_int_equal(wire_ctrl_bytes(WIRE_CONNECT_REQUEST), offsetof(struct wire_connect, rail_addr));
	assert_int_equal(wire_ctrl_bytes(WIRE_CONNECT_RESPONSE), offsetof(struct wire_connect, rail_addr));
	assert_int_equal(wire_ctrl_bytes(WIRE_CTS), sizeof(struct wire_ctrl));
	assert_int_equal(wire_ctrl_bytes(WIRE_CLOSE), sizeof(struct wire_ctrl));
	assert_int_equal(wire_ctrl_bytes(0), 0);
	assert_int_equal(wire_ctrl_bytes(WIRE_GROUP_CTS + 1), 0);
	assert_int_equal(wire_ctrl_bytes(255), 0);
}

#define CONNECT_BYTES offsetof(struct wire_connect, rail_addr) /* with one rail */

union message {
	struct wire_ctrl ctrl;
	struct wire_connect connect;
	struct wire_group group;
	unsigned char bytes[WIRE_CTRL_MAX];
};

static void good_message(union message *m, enum wire_type type)
{
	memset(m, 0, sizeof(*m));
	wire_ctrl_init(&m->ctrl, type, 1, 2);
	if (type == WIRE_CONNECT_REQUEST || type == WIRE_CONNECT_RESPONSE) {
		m->connect.who.addr_bytes = 16;
		m->connect.who.rails = m->connect.who.nics = 1;
	}
	if (type == WIRE_GROUP_CTS)
		m->ctrl.len = wire_group_len(1, 0);
}

/* Each type at each length: only its own length is valid. */
static void ctrl_every_length(void **state)
{
	union message m;
	size_t bytes;
	int type;

	(void)state;
	for (type = 0; type < 256; type++)
		for (bytes = 0; bytes <= WIRE_CTRL_MAX; bytes++) {
			bool right = bytes && bytes == wire_ctrl_bytes((uint8_t)type);

			good_message(&m, (enum wire_type)type);
			if (!wire_ctrl_check(&m.ctrl, bytes) != right)
				fail_msg("type %d with %zu bytes", type, bytes);
		}
}

static void ctrl_every_bit(void **state)
{
	union message m;
	size_t bit, bytes;
	int type;

	(void)state;
	for (type = WIRE_CONNECT_REQUEST; type <= WIRE_CLOSE; type++) {
		bytes = wire_ctrl_bytes((uint8_t)type);
		for (bit = 0; bit < bytes * 8; bit++) {
			const char *wrong;

			good_message(&m, (enum wire_type)type);
			m.bytes[bit / 8] = (unsigned char)(m.bytes[bit / 8] ^ 1u << bit % 8);
			wrong = wire_ctrl_check(&m.ctrl, bytes);
			if (bit / 8 < offsetof(struct wire_ctrl, version)) {
				assert_non_null(wrong);
				assert_non_null(strstr(wrong, "not a control message"));
			} else if (bit / 8 == offsetof(struct wire_ctrl, version)) {
				assert_non_null(wrong);
				assert_non_null(strstr(wrong, "version"));
			}
		}
	}
}

static void ctrl_terminates_the_host(void **state)
{
	union message m;

	(void)state;
	good_message(&m, WIRE_CONNECT_REQUEST);
	memset(m.connect.who.host, 'h', sizeof(m.connect.who.host));
	assert_null(wire_ctrl_check(&m.ctrl, CONNECT_BYTES));
	assert_int_equal(strnlen(m.connect.who.host, WIRE_HOST_BYTES), WIRE_HOST_BYTES - 1);
}

static void ctrl_refuses_impossible_addresses(void **state)
{
	union message m;
	int n;

	(void)state;
	for (n = 0; n < 256; n++) {
		good_message(&m, WIRE_CONNECT_RESPONSE);
		m.connect.who.addr_bytes = (uint8_t)n;
		if (n > WIRE_ADDR_BYTES)
			assert_non_null(wire_ctrl_check(&m.ctrl, CONNECT_BYTES));
		else if (n)
			assert_null(wire_ctrl_check(&m.ctrl, CONNECT_BYTES));
	}
}

/* The number of rails determines the length, and vice versa. */
static void ctrl_counts_rails(void **state)
{
	union message m;
	int n, sent;

	(void)state;
	for (n = 0; n < 256; n++)
		for (sent = 0; sent < WIRE_RAILS_MAX; sent++) {
			bool right = n >= 1 && n <= WIRE_RAILS_MAX && n - 1 == sent;

			good_message(&m, WIRE_CONNECT_REQUEST);
			m.connect.who.rails = (uint8_t)n;
			assert_true(!wire_ctrl_check(&m.ctrl, CONNECT_BYTES + (size_t)sent * 16) == right);
		}
	for (n = 0; n < 256; n++) { /* NICs of 4 rails */
		good_message(&m, WIRE_CONNECT_REQUEST);
		m.connect.who.rails = 4;
		m.connect.who.nics = (uint8_t)n;
		assert_true(!wire_ctrl_check(&m.ctrl, CONNECT_BYTES + (size_t)3 * 16) == (n >= 1 && n <= 4));
	}
	good_message(&m, WIRE_CONNECT_REQUEST); /* more bytes of addresses than a message holds */
	m.connect.who.rails = WIRE_RAILS_MAX;
	m.connect.who.addr_bytes = WIRE_ADDR_BYTES;
	assert_non_null(wire_ctrl_check(&m.ctrl, wire_ctrl_size(&m.ctrl)));
}

/* Random damage and random lengths: accepted messages are safe to use, and no byte outside them is touched. */
static void ctrl_fuzz(void **state)
{
	struct {
		union message m;
		unsigned char after[16];
	} box;
	uint64_t seed = 3;
	int round, n;

	(void)state;
	memset(box.after, 0xa5, sizeof(box.after));
	for (round = 0; round < 300000; round++) {
		size_t bytes = unit_random(&seed) % (WIRE_CTRL_MAX + 1);

		good_message(&box.m, (enum wire_type)(unit_random(&seed) % (WIRE_GROUP_CTS + 2)));
		if (unit_random(&seed) % 2)
			bytes = wire_ctrl_bytes(box.m.ctrl.type);
		for (n = (int)(unit_random(&seed) % 6); n > 0; n--)
			box.m.bytes[unit_random(&seed) % WIRE_CTRL_MAX] = (unsigned char)unit_random(&seed);
		if (wire_ctrl_check(&box.m.ctrl, bytes))
			continue;
		if (box.m.ctrl.type == WIRE_EAGER)
			assert_true(wire_tagged_bytes(&box.m.ctrl) <= WIRE_EAGER_MAX &&
				    bytes == sizeof(box.m.ctrl) + wire_tagged_bytes(&box.m.ctrl));
		else if (box.m.ctrl.type == WIRE_GROUP_CTS)
			assert_true(wire_group_count(&box.m.group) <= WIRE_GROUP_MAX &&
				    bytes == wire_ctrl_size(&box.m.ctrl));
		else
			assert_int_equal(bytes, wire_ctrl_size(&box.m.ctrl));
		if (box.m.ctrl.type == WIRE_CONNECT_REQUEST || box.m.ctrl.type == WIRE_CONNECT_RESPONSE) {
			assert_in_range(box.m.connect.who.rails, 1, WIRE_RAILS_MAX);
			assert_in_range(box.m.connect.who.addr_bytes, 0, WIRE_ADDR_BYTES);
			assert_true(strnlen(box.m.connect.who.host, WIRE_HOST_BYTES) < WIRE_HOST_BYTES);
		}
	}
	for (n = 0; n < (int)sizeof(box.after); n++)
		assert_int_equal(box.after[n], 0xa5);
}

static void tags_tell_messages_apart(void **state)
{
	uint32_t channel = 0x3fffffff; /* the largest id */

	(void)state;
	assert_true(wire_tag(channel, UINT32_MAX) >> 62 == 0); /* bits reserved by some providers */
	assert_true(wire_tag(1, 0) != wire_tag(0, 1));
	assert_true(wire_tag(1, UINT32_MAX) < wire_tag(2, 0));
	assert_true(wire_group_tag(channel, UINT32_MAX, WIRE_GROUP_MAX - 1) >> 62 == 0);
	assert_true(wire_group_tag(1, 5, 0) != wire_tag(1, 5));
	assert_true(wire_group_tag(1, 5, 1) != wire_group_tag(1, 5, 2));
	assert_true(wire_group_tag(1, UINT32_MAX, 7) < wire_tag(2, 0));
	assert_true(wire_tag(channel, 5) == ((uint64_t)channel << 32 | 5));
}

#define CHAN 0x300001

static struct wire_cts ring[WIRE_WINDOW];

static void announce(uint32_t seq, struct wire_cts *c)
{
	memset(c, 0, sizeof(*c));
	c->to = CHAN;
	c->addr = 0x7f0000001000ull + seq;
	c->keys.one = 77;
	c->len = 4096 + (uint64_t)seq;
	wire_cts_seal(c, seq);
}

/* First numbers of a ring: the first ever, a few others, and numbers that wrap during the test. */
static const uint32_t starts[] = {0, 1, 1000, UINT32_MAX - 3, UINT32_MAX - WIRE_WINDOW, UINT32_MAX - 100};

static void clear_nothing_in_a_fresh_ring(void **state)
{
	struct wire_cts got;
	unsigned i;
	uint32_t n;

	(void)state;
	wire_cts_ring_init(ring);
	for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		for (n = 0; n < WIRE_WINDOW; n++)
			assert_false(wire_cts_take(ring, CHAN, starts[i] + n, &got));
}

/* Three windows in a row across the wrap; late, early and foreign clear-to-sends are not taken. */
static void clear_each_in_its_turn(void **state)
{
	struct wire_cts got;
	unsigned i;
	uint32_t n, seq;

	(void)state;
	for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		wire_cts_ring_init(ring);
		for (n = 0; n < 3 * WIRE_WINDOW; n++) {
			seq = starts[i] + n;
			assert_false(wire_cts_take(ring, CHAN, seq, &got));
			announce(seq, &ring[seq % WIRE_WINDOW]);
			assert_false(wire_cts_take(ring, CHAN + 1, seq, &got));
			assert_false(wire_cts_take(ring, CHAN, seq + WIRE_WINDOW, &got));
			assert_false(wire_cts_take(ring, CHAN, seq - WIRE_WINDOW, &got));
			assert_true(wire_cts_take(ring, CHAN, seq, &got));
			assert_true(got.len == 4096 + (uint64_t)seq && got.keys.one == 77);
		}
	}
}

/* A partial write, seen in units of 8 bytes in any order, is taken only once it is complete. */
static void clear_torn_writes(void **state)
{
	struct wire_cts fresh, got;
	uint64_t seed = 5, whole = 0xff, pieces;
	int round, i;

	(void)state;
	for (round = 0; round < 20000; round++) {
		struct wire_cts *at = &ring[7];

		announce(7, at);
		announce(7 + WIRE_WINDOW, &fresh);
		pieces = unit_random(&seed) & whole;
		for (i = 0; i < 8; i++)
			if (pieces >> i & 1)
				memcpy((char *)at + i * 8, (char *)&fresh + i * 8, 8);
		if (wire_cts_take(ring, CHAN, 7 + WIRE_WINDOW, &got))
			assert_memory_equal(&got, &fresh, sizeof(got));
	}
}

static void immediates(void **state)
{
	uint64_t imm = wire_imm(0xfffff, UINT32_MAX, 7, 8, UINT32_MAX);

	(void)state;
	assert_true(imm == UINT64_MAX);
	imm = wire_imm(5, 70, 0, 1, 1000);
	assert_int_equal(wire_imm_slot(imm), 5);
	assert_int_equal(wire_imm_len(imm), 1000);
	assert_int_equal(wire_imm_index(imm), 70 % WIRE_WINDOW);
	assert_true(wire_imm_is(imm, 70));
	assert_false(wire_imm_is(imm, 70 - WIRE_WINDOW)); /* the previous window */
	assert_false(wire_imm_is(imm, 71));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(handle_layout),
		cmocka_unit_test(handle_values),
		cmocka_unit_test(handle_seal_covers_everything),
		cmocka_unit_test(handle_every_bit),
		cmocka_unit_test(handle_fuzz),
		cmocka_unit_test(secrets_differ_in_every_bit),
		cmocka_unit_test(provider_tags),
		cmocka_unit_test(ctrl_layout),
		cmocka_unit_test(ctrl_every_length),
		cmocka_unit_test(ctrl_every_bit),
		cmocka_unit_test(ctrl_terminates_the_host),
		cmocka_unit_test(ctrl_refuses_impossible_addresses),
		cmocka_unit_test(ctrl_counts_rails),
		cmocka_unit_test(ctrl_fuzz),
		cmocka_unit_test(tags_tell_messages_apart),
		cmocka_unit_test(clear_nothing_in_a_fresh_ring),
		cmocka_unit_test(clear_each_in_its_turn),
		cmocka_unit_test(clear_torn_writes),
		cmocka_unit_test(immediates),
	};

	return unit_run("wire", tests);
}
