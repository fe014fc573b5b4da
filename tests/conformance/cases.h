/* SPDX-License-Identifier: Apache-2.0 */
/* The cases, one list per file; each list ends with a case without a name. */
#ifndef WEFT_CONFORMANCE_CASES_H
#define WEFT_CONFORMANCE_CASES_H

#include "pair.h"

extern const struct suite_case table_cases[];	/* case_table.c: names, properties */
extern const struct suite_case abi_cases[];	/* case_abi.c: features of the versions after 8 */
extern const struct suite_case profile_cases[]; /* case_profile.c: events for a profiler */
extern const struct suite_case conn_cases[];	/* case_conn.c: listen, connect, accept */
extern const struct suite_case handle_cases[];	/* case_handle.c: invalid handles */
extern const struct suite_case data_cases[];	/* case_data.c: delivery and its order */
extern const struct suite_case timing_cases[];	/* case_timing.c: early, late and blocked partners */
extern const struct suite_case memory_cases[];	/* case_memory.c: registrations, flush */
extern const struct suite_case thread_cases[];	/* case_thread.c: several threads */
extern const struct suite_case close_cases[];	/* case_close.c: closing in every state */
extern const struct suite_case killed_cases[];	/* case_killed.c: a dead or silent peer */
extern const struct suite_case error_cases[];	/* case_error.c: operations to be refused */
extern const struct suite_case life_cases[];	/* case_life.c: fork, unload, exit */
extern const struct suite_case soak_cases[];	/* case_soak.c: long cases, only with --soak */

#endif
