/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "observe/http.h"

#ifdef HAVE_MICROHTTPD
#include <microhttpd.h>

#define DEFAULT_ADDRESS "127.0.0.1"

union place {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Splits and reads ADDRESS:PORT. */
static bool read_place(const char *text, union place *out)
{
	char address[64] = DEFAULT_ADDRESS;
	const char *port = strrchr(text, ':');
	size_t len = port ? (size_t)(port - text) : 0;
	int64_t n;

	if (port) {
		bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';

		if (len - (brackets ? 2 : 0) >= sizeof(address) || (!brackets && memchr(text, ':', len)))
			return false;
		snprintf(address, sizeof(address), "%.*s", (int)(len - (brackets ? 2 : 0)), text + brackets);
	}
	if (text_to_int(port ? port + 1 : text, &n) || n < 0 || n > 65535)
		return false;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, address, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons((uint16_t)n);
		return true;
	}
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons((uint16_t)n);
	return inet_pton(AF_INET6, address, &out->v6.sin6_addr) == 1;
}

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type, const char *text,
			     size_t bytes)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(bytes, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", type);
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	return reply(c, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *body, size_t *body_bytes, void **state)
{
	struct scrape *s = arg;

	(void)version;
	(void)body;
	(void)state;
	if (*body_bytes) {
		*body_bytes = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return reply_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (!strcmp(url, "/"))
		return reply_text(c, MHD_HTTP_OK, "weft-exporter: the metrics are at /metrics\n");
	if (strcmp(url, "/metrics"))
		return reply_text(c, MHD_HTTP_NOT_FOUND, "the metrics are at /metrics\n");
	if (scrape_make(s))
		return reply_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	return reply(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", s->text, s->bytes);
}

/* One thread answers one request after the other, so a scrape needs no lock. */
int http_serve(struct scrape *s, const char *where)
{
	const union MHD_DaemonInfo *info;
	struct MHD_Daemon *daemon;
	union place place;
	sigset_t set;
	int sig;

	if (!read_place(where, &place)) {
		fprintf(stderr, "weft-exporter: --listen wants ADDRESS:PORT or PORT, not %s\n", where);
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
					  (place.any.sa_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0u),
				  0, NULL, NULL, answer, s, MHD_OPTION_SOCK_ADDR, &place.any,
				  MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_CONNECTION_LIMIT, 16u, MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "weft-exporter: cannot listen on %s: %s\n", where, strerror(errno));
		return 1;
	}
	info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	fprintf(stderr, "weft-exporter: listening on %s, port %u\n", where, info ? (unsigned)info->port : 0);
	sigwait(&set, &sig);
	MHD_stop_daemon(daemon);
	return 0;
}

#else

int http_serve(struct scrape *s, const char *where)
{
	(void)s;
	(void)where;
	fprintf(stderr, "weft-exporter: it was built without libmicrohttpd: only --textfile works\n");
	return 1;
}

#endif
