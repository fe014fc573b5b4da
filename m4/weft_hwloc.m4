# SPDX-License-Identifier: Apache-2.0
# WEFT_CHECK_HWLOC(MAJOR, MINOR): sets HWLOC_CFLAGS, HWLOC_LIBS.
AC_DEFUN([WEFT_CHECK_HWLOC], [
AC_ARG_WITH([hwloc], [AS_HELP_STRING([--with-hwloc=DIR],
	[hwloc $1.$2 or newer, when it is not where the system looks])], [], [with_hwloc=])
AS_IF([test "$with_hwloc" = no], [AC_MSG_ERROR([Weft needs hwloc: --without-hwloc cannot be])])
weft_hint="Install hwloc $1.$2 or newer (Debian, Ubuntu: apt-get install libhwloc-dev) or name its place
  with --with-hwloc=DIR (the directory that holds include/hwloc.h and lib)."
WEFT_LOCATE([HWLOC], [--with-hwloc], [$with_hwloc], [hwloc], [hwloc], [hwloc.h])
AC_MSG_CHECKING([for hwloc $1.$2 or newer])
WEFT_TRY([HWLOC], [#include <hwloc.h>],
	[HWLOC_API_VERSION >= (($1 << 16) | ($2 << 8))],
	[(void)hwloc_get_api_version()],
	[AC_MSG_RESULT([no]); AC_MSG_ERROR([no header hwloc.h ($HWLOC_CFLAGS)
  $weft_hint])],
	[AC_MSG_RESULT([too old]); AC_MSG_ERROR([the hwloc found ($HWLOC_CFLAGS) is too old
  $weft_hint])],
	[AC_MSG_RESULT([no]); AC_MSG_ERROR([the header is there, but linking with $HWLOC_LIBS fails
  $weft_hint])])
AC_MSG_RESULT([yes])
weft_save_cppflags=$CPPFLAGS
CPPFLAGS="$CPPFLAGS $HWLOC_CFLAGS"
AC_COMPUTE_INT([weft_hwloc_major], [HWLOC_API_VERSION >> 16], [[#include <hwloc.h>]])
AC_COMPUTE_INT([weft_hwloc_minor], [(HWLOC_API_VERSION >> 8) & 255], [[#include <hwloc.h>]])
CPPFLAGS=$weft_save_cppflags
weft_hwloc_found="$weft_hwloc_major.$weft_hwloc_minor ($HWLOC_LIBS)"
])
