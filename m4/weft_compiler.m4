# SPDX-License-Identifier: Apache-2.0
# Language level, warnings, and the options that affect all compilation.

# WEFT_ADD_CFLAGS(FLAGS...): appends each flag that the compiler accepts to WEFT_CFLAGS.
AC_DEFUN([WEFT_ADD_CFLAGS], [
m4_foreach_w([weft_flag], [$1], [
AC_MSG_CHECKING([whether $CC takes ]weft_flag)
weft_save_cflags=$CFLAGS
# -Werror is needed because clang only warns about unknown flags.
CFLAGS="$CFLAGS -Werror weft_flag"
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[int weft_dummy;]])],
	[AC_MSG_RESULT([yes]); WEFT_CFLAGS="$WEFT_CFLAGS weft_flag"],
	[AC_MSG_RESULT([no])])
CFLAGS=$weft_save_cflags
])])

# WEFT_SANITIZER(OPTION, FLAGS): adds the flags to compiler and linker, or stops with a message.
AC_DEFUN([WEFT_SANITIZER], [
AC_MSG_CHECKING([whether $CC can build with $2])
weft_save_cflags=$CFLAGS
CFLAGS="$CFLAGS $2"
AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
	[AC_MSG_RESULT([yes])],
	[AC_MSG_RESULT([no])
	AC_MSG_ERROR([$1: $CC cannot link with $2 (Debian packages: gcc has its run time in libasan*, libubsan*
  and libtsan*, clang in libclang-rt-*-dev)])])
CFLAGS=$weft_save_cflags
WEFT_CFLAGS="$WEFT_CFLAGS $2 -fno-omit-frame-pointer"
WEFT_LDFLAGS="$WEFT_LDFLAGS $2"
])

# Must precede AC_PROG_CC, whose -g -O2 is only a default.
AC_DEFUN([WEFT_DEBUG], [
AC_ARG_ENABLE([debug], [AS_HELP_STRING([--enable-debug],
	[assertions, no optimisation, all debugging information])], [], [enable_debug=no])
AS_IF([test "$enable_debug" = yes], [: "${CFLAGS=-O0 -g3}"])
])

# Sets WEFT_CFLAGS and WEFT_LDFLAGS for the whole tree, and the conditionals of the options.
AC_DEFUN([WEFT_COMPILER], [
AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan],
	[AddressSanitizer and UndefinedBehaviorSanitizer])], [], [enable_asan=no])
AC_ARG_ENABLE([tsan], [AS_HELP_STRING([--enable-tsan], [ThreadSanitizer])],
	[], [enable_tsan=no])
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [compiler warnings are errors])],
	[], [enable_werror=no])
AS_IF([test "$enable_asan,$enable_tsan" = yes,yes],
	[AC_MSG_ERROR([--enable-asan and --enable-tsan exclude each other: use two build directories])])

# Last on the command line, so it also overrides -std=gnu23, which a newer autoconf adds to CC.
WEFT_CFLAGS="-std=gnu11"
WEFT_LDFLAGS="-Wl,--as-needed"
SANITIZER=
WEFT_ADD_CFLAGS([-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
	-Wwrite-strings -Wformat=2 -Wundef -fvisibility=hidden])
AS_IF([test "$enable_werror" = yes], [WEFT_CFLAGS="$WEFT_CFLAGS -Werror"])
AS_IF([test "$enable_debug" = yes], [], [AC_DEFINE([NDEBUG], [1], [Assertions are off])])
AS_IF([test "$enable_asan" = yes],
	[WEFT_SANITIZER([--enable-asan], [-fsanitize=address,undefined])
	WEFT_CFLAGS="$WEFT_CFLAGS -fno-sanitize-recover=undefined"])
AS_IF([test "$enable_tsan" = yes], [WEFT_SANITIZER([--enable-tsan], [-fsanitize=thread])])
AC_SUBST([WEFT_CFLAGS])
AC_SUBST([WEFT_LDFLAGS])
AM_CONDITIONAL([SANITIZED], [test "$enable_asan" = yes || test "$enable_tsan" = yes])
AS_IF([test "$enable_asan" = yes], [SANITIZER=address], [test "$enable_tsan" = yes], [SANITIZER=thread])
AC_SUBST([SANITIZER])
])

# Sets LTO_CFLAGS for the objects of the plugin, because its rooms call each other for every message. The objects are
# fat, so tests, which link the same objects, work without LTO (LTO_OFF). Sanitizers and debuggers need the functions of
# the source.
AC_DEFUN([WEFT_LTO], [
AC_ARG_ENABLE([lto], [AS_HELP_STRING([--disable-lto], [do not optimise the plugin as a whole when it is linked])],
	[], [enable_lto=check])
LTO_CFLAGS="-flto=auto -ffat-lto-objects" LTO_OFF=-fno-lto
AS_IF([test "$enable_lto" = check && test "$enable_debug$SANITIZER" != no], [enable_lto=no])
AS_IF([test "$enable_lto" != no], [
	AC_MSG_CHECKING([whether $CC optimises when it links])
	weft_save_cflags=$CFLAGS
	CFLAGS="$CFLAGS -Werror $LTO_CFLAGS"
	AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [weft_lto=yes], [weft_lto=no])
	CFLAGS=$weft_save_cflags
	AC_MSG_RESULT([$weft_lto])
	AS_IF([test "$enable_lto,$weft_lto" = yes,no], [AC_MSG_ERROR([--enable-lto: $CC cannot link with $LTO_CFLAGS])])
	enable_lto=$weft_lto])
AS_IF([test "$enable_lto" = no], [LTO_CFLAGS= LTO_OFF=])
AC_SUBST([LTO_CFLAGS])
AC_SUBST([LTO_OFF])
])

# Prints the decisions of configure in a few lines.
AC_DEFUN([WEFT_SUMMARY], [
cat <<WEFT_EOF

  weft $PACKAGE_VERSION
    compiler      $CC, -Werror: $enable_werror, LTO: $enable_lto, debug: $enable_debug, sanitizer: ${SANITIZER:-none}
    libfabric     $weft_fabric_found
    hwloc         $weft_hwloc_found
    jansson       $weft_jansson_found
    ncurses       $weft_ncurses_found
    libmicrohttpd $weft_microhttpd_found
    cmocka        $weft_cmocka_found
    libibverbs    $weft_verbs_found
    MPI           $weft_mpi_found
    prefix        $prefix (link libnccl-net.so: $enable_libnccl_net_link)

WEFT_EOF
])
