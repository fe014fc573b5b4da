/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live record of a process: a file that the plugin maps and writes while the process runs, and that programs of
 * the same user read. Frozen: fields may be added in reserved space; any other change raises WEFT_STATS_VERSION.
 *
 * Name:      PID-START.weft in WEFT_STATS_DIR; if that is not set, in /dev/shm/weft-UID, or in /tmp/weft-UID where
 *            there is no /dev/shm.
 * Content:   struct weft_stats_head at offset 0, then tables at the offsets and with the entry sizes that it names.
 *            Untouched pages of the file are holes: a record has about 12 MB and occupies some 200 KB.
 * Numbers:   in the byte order of the machine, each in an aligned word, which is written at once. A word is consistent;
 *            two words may be a moment apart. Counters never decrease during a generation of their entry.
 * Writers:   one thread at a time for each endpoint and what belongs to it: its rails, comms and events.
 *
 * Entries:   an entry is in use if its `generation` is not 0. It is odd while names are being filled in, and changes
 *            when the entry is given to another rail or comm. Read generation, copy the entry, read generation again,
 *            and discard the copy if it was odd or has changed. A closed comm keeps its entry until another needs it.
 * Overflow:  what found no free entry is counted in `comms_lost` or `rails_lost` and has no entry. It works as usual.
 *
 * Time:      in ticks of the clock that head.clock names. weft_stats_ns() converts a time, weft_stats_span_ns() a
 *            duration. A tick is a fraction of a nanosecond where the processor counts cycles, but the time of a
 *            completion is that of the poll that found it.
 *
 * A reader must trust nothing in the file. It refuses a file that is
 *	1. a symbolic link, or not a regular file (open with O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, then fstat);
 *	2. not its own user's (st_uid), or writable by others;
 *	3. smaller than the head, or of another size than head.file_bytes;
 *	4. of another magic or version, or whose tables do not lie within the file: weft_stats_check().
 * It copies the head before it checks it, and uses only the copy for offsets and counts. It limits every index that
 * it finds to its table, ends every text at its last byte, and shows no text's control characters. It reads with
 * pread() or, if it maps the file, takes SIGBUS into account: another process may truncate the file.
 *
 * The process of a record of another boot_id than the reader's own may live or not: nobody can tell. If head.locked, it has
 * ended as soon as flock(LOCK_SH | LOCK_NB) succeeds, and lives as long as that fails with EWOULDBLOCK, in whatever pid
 * namespace. A reader of its pid_namespace also asks /proc: it lives if /proc/PID/stat exists and its field 22 equals
 * head.start. Without a lock and of another pid_namespace, nobody can tell. Without its process, head.state says whether it had
 * closed all endpoints (WEFT_STATS_CLOSED; it removes the file if it ends by exit()) or was killed (WEFT_STATS_LIVE).
 */
#ifndef WEFT_STATS_H
#define WEFT_STATS_H

#include <stddef.h>
#include <stdint.h>

#define WEFT_STATS_MAGIC   UINT64_C(0x5441545354464557) /* "WEFTSTAT" on a little-endian machine */
#define WEFT_STATS_VERSION 1
#define WEFT_STATS_SUFFIX  ".weft"
#define WEFT_STATS_BUCKETS 32
#define WEFT_STATS_LATE_US 1024 /* from this wait on the receive of an eager message is timed */

/* One table: entry i lies at offset + i * entry_bytes. A later version of the plugin may write larger entries. */
struct weft_stats_table {
	uint64_t offset;
	uint32_t entry_bytes;
	uint32_t entries;
};

/* NEW: being made. LIVE: it has open endpoints. CLOSED: it has none at present. */
enum weft_stats_state { WEFT_STATS_NEW, WEFT_STATS_LIVE, WEFT_STATS_CLOSED };
enum weft_stats_clock { WEFT_STATS_MONOTONIC_NS, WEFT_STATS_TSC, WEFT_STATS_ARM_COUNTER };

struct weft_stats_head {
	uint64_t magic;
	uint32_t version;
	uint32_t head_bytes; /* of this struct */
	uint64_t file_bytes;
	struct weft_stats_table endpoints, rails, comms;
	struct weft_stats_table events; /* of endpoint i: entries [i * events_each, (i + 1) * events_each) */
	uint64_t events_each;		/* a power of two */
	uint64_t state;			/* enum weft_stats_state */

	/* The process. */
	uint64_t pid;
	uint64_t start; /* field 22 of /proc/PID/stat */
	uint64_t uid;
	uint64_t pid_namespace; /* inode of /proc/self/ns/pid, or 0 */
	uint64_t boot_id[2];	/* /proc/sys/kernel/random/boot_id: its 16 bytes in order */
	uint64_t comms_lost;	/* comms that found no free entry */
	uint64_t rails_lost;	/* endpoints that found no free entry for themselves or a rail */

	/* The clock: ns = base_ns + (ticks - base_ticks) * scale / 2^32. `scale` is refined while the process runs. */
	uint64_t clock;	     /* enum weft_stats_clock */
	uint64_t base_ticks; /* the same moment in ticks, */
	uint64_t base_ns;    /* in CLOCK_MONOTONIC nanoseconds, */
	uint64_t base_wall;  /* and in nanoseconds since 1970 (CLOCK_REALTIME) */
	uint64_t scale;	     /* nanoseconds per tick, times 2^32 */

	/* -1 or "" if the environment names none. */
	int64_t rank, world, local_rank;
	char launcher[16]; /* "slurm", "torchrun", "openmpi", "mpi" */
	char job[64];	   /* number or name of the job */
	char pod[128];	   /* Kubernetes: name of the pod */
	char host[64];
	char command[64]; /* name of the program, /proc/self/comm */
	char weft[32];	  /* version of Weft */
	char libfabric[64];
	char provider[64];
	char devices[256]; /* names of the devices, separated by spaces */
	char gpus[256];	   /* CUDA_VISIBLE_DEVICES */
	uint64_t locked;   /* 1: the process holds flock(LOCK_EX) on the file until it ends */
	uint64_t reserved[356];
};

/* A device's libfabric endpoints for one thread. */
struct weft_stats_endpoint {
	uint64_t generation;
	uint64_t open;	    /* 1; 0 after the endpoint was closed */
	uint64_t now;	    /* time of the last timed event, and of the checks while a message waits */
	uint64_t event_end; /* events ever written: event n lies at n modulo events_each */
	uint64_t err;	    /* why it is broken: an errno, or 0 */
	uint64_t id;	    /* random; names the endpoint in messages between processes */
	uint64_t thread;    /* kernel's id of the thread that opened it */
	uint64_t polls;	    /* polls by the application, as of the last check */
	char device[64];
	/*
	 * ns that the polling thread was ready to run and had no core, and how often it got one, as of the last check. 0 if the
	 * kernel does not tell.
	 */
	uint64_t core_wait, core_runs;
	uint64_t reserved[14];
};

enum weft_stats_rail_state { WEFT_STATS_RAIL_UP, WEFT_STATS_RAIL_DOWN, WEFT_STATS_RAIL_CLOSED };

/* One NIC of an endpoint. */
struct weft_stats_rail {
	uint64_t generation;
	uint64_t endpoint; /* index in its table */
	uint64_t number;   /* of the rail in its device; 0: the primary rail, which also carries the control messages */
	uint64_t state;	   /* enum weft_stats_rail_state */
	uint64_t since;	   /* time of the last change of state */
	char why[64];	   /* reason for being down */

	/* Data: stripes, or whole messages, eager ones too. */
	uint64_t tx_bytes, tx_messages; /* that the provider has taken */
	uint64_t rx_bytes, rx_messages; /* that have arrived */
	/* Operations, of data and control; an arrival of data is one, too. */
	uint64_t completed; /* with or without an error */
	uint64_t refused;   /* could not be posted at that moment (EAGAIN), and are tried again */
	uint64_t failed;    /* completed with an error */
	/* As of the last check while a message waits. */
	uint64_t posted;      /* operations accepted or expected so far: completed and in_flight */
	uint64_t in_flight;   /* operations and expected arrivals that hold room in the completion queue */
	uint64_t outstanding; /* bytes posted and not completed; 0 on devices with one rail */
	uint64_t seen;	      /* bytes per second, measured while busy; 0: none, as on devices with one rail */

	uint64_t queue_depth; /* size of the completion queue */
	uint64_t nominal;     /* bytes per second that the NIC reports */
	char name[64];	      /* "eth0", "rdmap0s6-rdm" */
	char address[64];     /* IP address, or "" */
	uint64_t assumed;     /* 1: the NIC reports no speed, and `nominal` is an assumption */
	uint64_t reserved[21];
};

enum weft_stats_direction { WEFT_STATS_SEND, WEFT_STATS_RECV };
enum weft_stats_comm_state {
	WEFT_STATS_CONNECTING,
	WEFT_STATS_CONNECTED,
	WEFT_STATS_CLOSING,	/* our half is being closed */
	WEFT_STATS_COMM_CLOSED, /* free for another comm */
	WEFT_STATS_FAILED,	/* failed, and not closed yet */
	WEFT_STATS_FAILED_CLOSED,
};
enum weft_stats_wait {
	WEFT_STATS_NO_WAIT,
	WEFT_STATS_WAIT_PEER, /* sending: the receiver has not posted; receiving: nothing of the message is here */
	WEFT_STATS_WAIT_WIRE, /* posted and not completed; receiving: some stripes are here */
};

/*
 * One direction to one peer.
 *
 * The two waits of a send: `peer`, from the first isend that found no clear-to-send until the message is posted (0 if
 * it was cleared at once), and `wire`, from there to its completion. Of a receive: `peer`, from irecv to the first
 * stripe of its message, and `wire`, from there to the last stripe. Nothing shows when a message of one stripe was
 * sent, so all of its time is `peer`, and the `wire` histogram does not count it: see the sender's record.
 *
 * A small message that is sent eagerly waits for nobody, and completes when it is copied: it is counted in
 * eager_messages and eager_bytes only, and not timed, on either side. But `peer` counts the wait of a send, because too
 * many were on their way, and that of a receive of at least WEFT_STATS_LATE_US.
 *
 * peer_us[i] and wire_us[i] count messages whose wait was 2^i to 2^(i+1) us; the first also shorter ones, the last also
 * longer ones.
 */
struct weft_stats_comm {
	uint64_t generation;
	uint64_t endpoint;		     /* index in its table */
	uint64_t direction;		     /* enum weft_stats_direction */
	uint64_t state;			     /* enum weft_stats_comm_state */
	uint64_t since;			     /* time of the last change of state */
	uint64_t err;			     /* why it has failed: an errno, or 0 */
	uint64_t id, peer_id, peer_endpoint; /* ids of the two halves, and of the peer's endpoint; 0 until connected */
	uint64_t peer_pid;
	uint64_t peer_closed; /* 1: the peer has closed its half */
	uint64_t paths;	      /* number of paths to the peer */

	/* Messages; a group counts its messages. For the number in flight see weft_stats_in_flight(). */
	uint64_t posted;		      /* accepted by isend, without eager ones; or by irecv, all */
	uint64_t messages;		      /* completed without an error, without eager ones */
	uint64_t bytes;			      /* of these */
	uint64_t eager_messages, eager_bytes; /* sent eagerly, or arrived so */
	uint64_t failed;		      /* completed with an error */
	uint64_t last;			      /* time of the last timed completion */

	/* Sending: an isend waits for its clear-to-send since this time (0: none does); bytes of that message. */
	uint64_t asked, asked_bytes;
	/* As of the last check, 10 times a second while a message waits: number of the next message (32 bits), */
	uint64_t next;
	/*
	 * and the oldest one in flight: since when (0: none), its number and size; see weft_stats_oldest().
	 */
	uint64_t oldest, oldest_number, oldest_bytes, oldest_after;

	/* The watchdog (WEFT_STALL_WARN). */
	uint64_t stall;	      /* enum weft_stats_wait: it has warned, and nothing has moved since */
	uint64_t stall_since; /* since when that message waits */
	uint64_t stalls;      /* warnings so far */

	uint64_t peer_ticks, wire_ticks; /* sums of the waits that the histograms count */
	uint64_t peer_us[WEFT_STATS_BUCKETS];
	uint64_t wire_us[WEFT_STATS_BUCKETS];

	char protocol[16]; /* "rma" or "tagged" */
	char host[64];	   /* the peer's */
	char address[64];  /* the peer's on its primary rail, or "" */
	uint64_t peer_err; /* failed because the peer's half has: its errno, as the peer reports it, or 0 */
	uint64_t reserved[14];
};

enum weft_stats_event_kind {
	WEFT_STATS_EV_NONE,
	WEFT_STATS_EV_OPENED,	   /* connecting begins */
	WEFT_STATS_EV_CONNECTED,   /* value: id of the peer's half */
	WEFT_STATS_EV_ASKED,	   /* sending: an isend found no clear-to-send; value: bytes */
	WEFT_STATS_EV_CLEARED,	   /* its clear-to-send came, it was posted; value: bytes; peer_us: the wait */
	WEFT_STATS_EV_DONE,	   /* a timed message has completed; value: bytes; peer_us, wire_us: its waits */
	WEFT_STATS_EV_REFUSED,	   /* a message could not be posted and is tried again; value: bytes */
	WEFT_STATS_EV_FAILED,	   /* a message has completed with an error; value: errno */
	WEFT_STATS_EV_STALLED,	   /* the watchdog has warned; value: bytes; the wait in peer_us or in wire_us */
	WEFT_STATS_EV_MOVED,	   /* and it goes on; value: ms that it stood still */
	WEFT_STATS_EV_COMM_FAILED, /* value: errno */
	WEFT_STATS_EV_PEER_CLOSED, /* the peer has closed its half */
	WEFT_STATS_EV_CLOSED,	   /* our half is closed */
	WEFT_STATS_EV_RAIL_DOWN,   /* value: errno; rail */
	WEFT_STATS_EV_RAIL_UP,
	WEFT_STATS_EV_BROKEN, /* the whole endpoint is shut down; value: errno */
};

#define WEFT_STATS_NO_COMM 0xffff
#define WEFT_STATS_NO_RAIL 0xff

/*
 * An entry of an endpoint's flight recorder. A message that was cleared at once has one event, DONE, from which its
 * other times follow: posted at time - wire_us, asked at time - wire_us - peer_us.
 *
 * A reader of a living process takes event_end before and after copying, and drops the entries that may have been
 * overwritten between, and the oldest, which may be half written: of `end` events now, those from end - events_each + 1
 * on are whole.
 */
struct weft_stats_event {
	uint64_t time;
	uint8_t kind;	  /* enum weft_stats_event_kind; readers skip those that they do not know */
	uint8_t rail;	  /* number of the rail in its device, WEFT_STATS_NO_RAIL: none or several */
	uint16_t comm;	  /* index in its table, or WEFT_STATS_NO_COMM */
	uint32_t number;  /* of the message */
	uint32_t peer_us; /* WEFT_STATS_EV_DONE, _CLEARED: the waits, us */
	uint32_t wire_us;
	uint64_t value;
};

_Static_assert(sizeof(struct weft_stats_head) == 4096, "frozen");
_Static_assert(sizeof(struct weft_stats_endpoint) == 256, "frozen");
_Static_assert(sizeof(struct weft_stats_rail) == 512, "frozen");
_Static_assert(sizeof(struct weft_stats_comm) == 1024, "frozen");
_Static_assert(sizeof(struct weft_stats_event) == 32, "frozen");

/* Does the table lie in a file of this size, with entries that hold at least `least` bytes? */
static inline int weft_stats_table_fits(const struct weft_stats_table *t, uint64_t file_bytes, uint32_t least)
{
	return t->entry_bytes >= least && t->entry_bytes % 8 == 0 && t->offset % 8 == 0 && t->entries <= 1u << 24 &&
	       t->offset >= sizeof(struct weft_stats_head) && t->offset <= file_bytes &&
	       (uint64_t)t->entry_bytes * t->entries <= file_bytes - t->offset;
}

/* Why the copy of a head is not that of a record in a file of this size: a clause, or NULL if it is. */
static inline const char *weft_stats_check(const struct weft_stats_head *h, uint64_t file_bytes)
{
	if (file_bytes < sizeof(*h) || h->magic != WEFT_STATS_MAGIC)
		return "it is no record of Weft";
	if (h->version != WEFT_STATS_VERSION || h->head_bytes < sizeof(*h))
		return "it is a record of another version of Weft";
	if (h->file_bytes != file_bytes)
		return "its size is not the one that it names";
	if (!weft_stats_table_fits(&h->endpoints, file_bytes, sizeof(struct weft_stats_endpoint)) ||
	    !weft_stats_table_fits(&h->rails, file_bytes, sizeof(struct weft_stats_rail)) ||
	    !weft_stats_table_fits(&h->comms, file_bytes, sizeof(struct weft_stats_comm)) ||
	    !weft_stats_table_fits(&h->events, file_bytes, sizeof(struct weft_stats_event)))
		return "a table lies outside the file";
	if (!h->events_each || h->events_each & (h->events_each - 1) ||
	    h->events_each * (uint64_t)h->endpoints.entries != h->events.entries)
		return "its tables contradict each other";
	if (h->clock > WEFT_STATS_ARM_COUNTER || !h->scale || h->scale > UINT64_C(1) << 42)
		return "its clock is unknown";
	return NULL;
}

/* A duration in nanoseconds. A negative one, which only a torn or forged record has, is 0. */
static inline uint64_t weft_stats_span_ns(const struct weft_stats_head *h, uint64_t ticks)
{
	if ((int64_t)ticks < 0)
		return 0;
	return (ticks >> 32) * h->scale + (ticks & UINT32_MAX) * (h->scale >> 32) +
	       ((ticks & UINT32_MAX) * (h->scale & UINT32_MAX) >> 32);
}

/* A time, in CLOCK_MONOTONIC nanoseconds of the record's host. 0 (never) stays 0. */
static inline uint64_t weft_stats_ns(const struct weft_stats_head *h, uint64_t ticks)
{
	if (!ticks)
		return 0;
	if ((int64_t)(ticks - h->base_ticks) < 0)
		return h->base_ns - weft_stats_span_ns(h, h->base_ticks - ticks);
	return h->base_ns + weft_stats_span_ns(h, ticks - h->base_ticks);
}

/* The same in nanoseconds since 1970, which processes of several hosts share as far as their clocks agree. */
static inline uint64_t weft_stats_wall_ns(const struct weft_stats_head *h, uint64_t ticks)
{
	return ticks ? weft_stats_ns(h, ticks) - h->base_ns + h->base_wall : 0;
}

/* Messages in flight, of a copied entry; eager ones that the provider still holds do not count. */
static inline uint64_t weft_stats_in_flight(const struct weft_stats_comm *c)
{
	uint64_t done = c->messages + c->failed + (c->direction == WEFT_STATS_RECV ? c->eager_messages : 0);

	return c->posted > done ? c->posted - done : 0;
}

/* Since when the oldest message in flight waits, of a copied entry; 0: none was, or one has ended since the check. */
static inline uint64_t weft_stats_oldest(const struct weft_stats_comm *c)
{
	return c->messages + c->eager_messages + c->failed == c->oldest_after ? c->oldest : 0;
}

#endif
