/* SPDX-License-Identifier: Apache-2.0 */
/* weft-exporter over HTTP. */
#ifndef WEFT_OBSERVE_HTTP_H
#define WEFT_OBSERVE_HTTP_H

#include "observe/scrape.h"

/*
 * Answers scrapes at ADDRESS:PORT, [ADDRESS]:PORT or PORT (of 127.0.0.1) until SIGINT or SIGTERM. Port 0 is any;
 * the port is printed to stderr. Returns the exit status of the program.
 */
int http_serve(struct scrape *s, const char *listen);

#endif
