# SPDX-License-Identifier: Apache-2.0
# Libraries of the tools, the benchmarks and the tests, which the plugin never uses.

# JANSSON_CFLAGS, JANSSON_LIBS: weft-info and the benchmarks write JSON with it.
AC_DEFUN([WEFT_CHECK_JANSSON], [
WEFT_LOCATE([JANSSON], [], [yes], [jansson], [jansson], [jansson.h])
weft_hint="Install jansson 2.7 or newer (Debian, Ubuntu: apt-get install libjansson-dev) or set
  JANSSON_CFLAGS and JANSSON_LIBS. The tools need it, the plugin does not."
AC_MSG_CHECKING([for jansson 2.7 or newer])
WEFT_TRY([JANSSON], [#include <jansson.h>], [JANSSON_VERSION_HEX >= 0x020700],
	[json_decref(json_object())],
	[AC_MSG_RESULT([no]); AC_MSG_ERROR([no header jansson.h
  $weft_hint])],
	[AC_MSG_RESULT([too old]); AC_MSG_ERROR([the jansson found is too old
  $weft_hint])],
	[AC_MSG_RESULT([no]); AC_MSG_ERROR([the header is there, but linking with $JANSSON_LIBS fails
  $weft_hint])])
AC_MSG_RESULT([yes])
weft_jansson_found="yes ($JANSSON_LIBS)"
])

# CMOCKA_CFLAGS, CMOCKA_LIBS, conditional HAVE_CMOCKA. Its absence is an error of `make check` only.
AC_DEFUN([WEFT_CHECK_CMOCKA], [
WEFT_LOCATE([CMOCKA], [], [yes], [cmocka], [cmocka], [cmocka.h])
weft_cmocka_found="yes ($CMOCKA_LIBS)"
AC_MSG_CHECKING([for cmocka])
WEFT_TRY([CMOCKA], [#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>], [1], [cmocka_set_message_output(CM_OUTPUT_TAP)],
	[weft_cmocka_found=no], [], [weft_cmocka_found=no])
AC_MSG_RESULT([${weft_cmocka_found%% *}])
AM_CONDITIONAL([HAVE_CMOCKA], [test "$weft_cmocka_found" != no])
AS_IF([test "$weft_cmocka_found" = no],
	[weft_cmocka_found="no (make check needs it; Debian, Ubuntu: apt-get install libcmocka-dev)"])
])

# MPI_CFLAGS, MPI_LIBS, HAVE_MPI. Only on request, because an installed MPI alone must not change a build.
AC_DEFUN([WEFT_CHECK_MPI], [
AC_ARG_WITH([mpi], [AS_HELP_STRING([--with-mpi@<:@=DIR@:>@],
	[let the benchmarks start through MPI (mpicc from DIR/bin or PATH, or pkg-config ompi-c, mpich)])],
	[], [with_mpi=no])
weft_mpi_found=no
AS_IF([test "$with_mpi" != no], [
	weft_path=$PATH
	AS_IF([test "$with_mpi" != yes], [weft_path=$with_mpi/bin])
	AC_PATH_PROG([MPICC], [mpicc], [], [$weft_path])
	AC_MSG_CHECKING([for MPI])
	AS_IF([test -z "$MPICC"], [
			weft_mpi_pc=
			AS_IF([test "$with_mpi" = yes && test -n "$PKG_CONFIG"], [
				for weft_pc in ompi-c mpich; do
					AS_IF([test -z "$weft_mpi_pc" && $PKG_CONFIG --exists $weft_pc],
						[weft_mpi_pc=$weft_pc])
				done])
			AS_IF([test -n "$weft_mpi_pc"],
				[: "${MPI_CFLAGS=`$PKG_CONFIG --cflags $weft_mpi_pc`}"
				: "${MPI_LIBS=`$PKG_CONFIG --libs $weft_mpi_pc`}"])],
		[$MPICC --showme:compile >/dev/null 2>&1],
			[: "${MPI_CFLAGS=`$MPICC --showme:compile`}"
			: "${MPI_LIBS=`$MPICC --showme:link`}"],
		[$MPICC -link_info >/dev/null 2>&1], [
			# The MPICH family prints its whole command line.
			weft_cflags= weft_libs=
			for weft_word in `$MPICC -compile_info` `$MPICC -link_info`; do
				AS_CASE([$weft_word],
					[-I*|-D*], [weft_cflags="$weft_cflags $weft_word"],
					[-L*|-l*|-Wl,*], [weft_libs="$weft_libs $weft_word"])
			done
			: "${MPI_CFLAGS=$weft_cflags}"
			: "${MPI_LIBS=$weft_libs}"])
	weft_hint="Install one (Debian, Ubuntu: apt-get install libopenmpi-dev), name its place with
  --with-mpi=DIR (the directory that holds bin/mpicc), or leave --with-mpi out."
	AC_SUBST([MPI_CFLAGS])
	AC_SUBST([MPI_LIBS])
	WEFT_TRY([MPI], [#include <mpi.h>], [MPI_VERSION >= 3], [MPI_Finalize()],
		[AC_MSG_RESULT([no]); AC_MSG_ERROR([--with-mpi: no mpicc and no usable mpi.h ($MPI_CFLAGS)
  $weft_hint])],
		[AC_MSG_RESULT([too old]); AC_MSG_ERROR([--with-mpi: the MPI found is older than MPI 3
  $weft_hint])],
		[AC_MSG_RESULT([no]); AC_MSG_ERROR([--with-mpi: linking with $MPI_LIBS fails
  $weft_hint])])
	AC_MSG_RESULT([yes])
	AC_DEFINE([HAVE_MPI], [1], [The benchmarks can start through MPI])
	weft_mpi_found="yes ($MPI_LIBS)"
])
AM_CONDITIONAL([HAVE_MPI], [test "$with_mpi" != no])
])

# HAVE_VERBS: the headers of libibverbs, which the software EFA device of the tests needs. The device replaces the
# library, so it does not link it.
AC_DEFUN([WEFT_CHECK_VERBS], [
AC_MSG_CHECKING([for the headers of libibverbs 28 or newer])
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([#include <infiniband/verbs.h>], [
	struct ibv_qp_ex qp;
	qp.wr_start = 0;
	return (int)ibv_is_fork_initialized() + !!qp.wr_start;
])], [weft_verbs_found=yes], [weft_verbs_found=no])
AC_MSG_RESULT([$weft_verbs_found])
AM_CONDITIONAL([HAVE_VERBS], [test "$weft_verbs_found" = yes])
AS_IF([test "$weft_verbs_found" = no],
	[weft_verbs_found="no (tests on a software EFA device need it; Debian, Ubuntu: apt-get install libibverbs-dev)"])
])

# NCURSES_CFLAGS, NCURSES_LIBS, HAVE_NCURSES: weft-top is live on a terminal; without it, it prints reports.
AC_DEFUN([WEFT_CHECK_NCURSES], [
WEFT_LOCATE([NCURSES], [], [yes], [ncurses], [ncurses], [curses.h])
weft_ncurses_found="yes ($NCURSES_LIBS)"
AC_MSG_CHECKING([for ncurses])
WEFT_TRY([NCURSES], [#include <curses.h>], [NCURSES_VERSION_MAJOR >= 5], [use_default_colors()],
	[weft_ncurses_found=no], [weft_ncurses_found=no], [weft_ncurses_found=no])
AC_MSG_RESULT([${weft_ncurses_found%% *}])
AS_IF([test "$weft_ncurses_found" = no],
	[weft_ncurses_found="no (weft-top prints reports only; Debian, Ubuntu: apt-get install libncurses-dev)"
	NCURSES_CFLAGS= NCURSES_LIBS=],
	[AC_DEFINE([HAVE_NCURSES], [1], [weft-top can use a terminal])])
])

# MICROHTTPD_CFLAGS, MICROHTTPD_LIBS, HAVE_MICROHTTPD: weft-exporter answers over HTTP; without it, it writes files.
AC_DEFUN([WEFT_CHECK_MICROHTTPD], [
WEFT_LOCATE([MICROHTTPD], [], [yes], [libmicrohttpd], [microhttpd], [microhttpd.h])
weft_microhttpd_found="yes ($MICROHTTPD_LIBS)"
AC_MSG_CHECKING([for libmicrohttpd 0.9.71 or newer])
WEFT_TRY([MICROHTTPD], [#include <microhttpd.h>], [MHD_VERSION >= 0x00097100], [MHD_get_version()],
	[weft_microhttpd_found=no], [weft_microhttpd_found=no], [weft_microhttpd_found=no])
AC_MSG_RESULT([${weft_microhttpd_found%% *}])
AS_IF([test "$weft_microhttpd_found" = no],
	[weft_microhttpd_found="no (weft-exporter has --textfile only; Debian, Ubuntu: apt-get install libmicrohttpd-dev)"
	MICROHTTPD_CFLAGS= MICROHTTPD_LIBS=],
	[AC_DEFINE([HAVE_MICROHTTPD], [1], [weft-exporter can answer over HTTP])])
])
