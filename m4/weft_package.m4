# SPDX-License-Identifier: Apache-2.0
# Common parts of the macros that search for a library.
m4_pattern_forbid([^PKG_])

# WEFT_LOCATE(VAR, OPTION, DIR, PKG-CONFIG NAME, LIBRARY, HEADER): sets VAR_CFLAGS and VAR_LIBS.
# DIR is "yes" or "" to use pkg-config, else the directory in which the library is installed (an error if it is not).
# Linked files get this directory as run path unless the system searches it anyway. VAR_CFLAGS or VAR_LIBS in the
# environment take precedence.
AC_DEFUN([WEFT_LOCATE], [
weft_cflags= weft_libs=-l$5
AS_CASE([$3],
	[""|yes],
		[AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists $4],
			[weft_cflags=`$PKG_CONFIG --cflags $4`
			weft_libs=`$PKG_CONFIG --libs $4`])],
	[/usr], [],
		[AS_IF([test -r "$3/include/$6"], [],
			[AC_MSG_ERROR([$2=$3: there is no $3/include/$6
  $weft_hint])])
		weft_cflags="-I$3/include"
		weft_multiarch=`$CC -print-multiarch 2>/dev/null`
		weft_libdir=$3/lib
		for weft_dir in "$3/lib64" "$3/lib/$weft_multiarch"; do
			AS_IF([test -e "$weft_dir/lib$5.so"], [weft_libdir=$weft_dir])
		done
		weft_libs="-L$weft_libdir -Wl,-rpath,$weft_libdir -l$5"])
: "${$1_CFLAGS=$weft_cflags}"
: "${$1_LIBS=$weft_libs}"
AC_SUBST([$1_CFLAGS])
AC_SUBST([$1_LIBS])
])

# Both use weft_hint in their messages: the package to install and the option to give.

# WEFT_TRY(VAR, INCLUDES, CONDITION, CALL, IF-ABSENT, IF-OLD, IF-UNLINKABLE)
# The header must exist, its version must satisfy the preprocessor CONDITION, and CALL must link.
AC_DEFUN([WEFT_TRY], [
weft_save_cppflags=$CPPFLAGS weft_save_libs=$LIBS
CPPFLAGS="$CPPFLAGS $$1_CFLAGS"
LIBS="$$1_LIBS $LIBS"
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[$2]])], [], [$5])
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[$2
#if !($3)
#error too old
#endif
]])], [], [$6])
AC_LINK_IFELSE([AC_LANG_PROGRAM([[$2]], [[$4]])], [], [$7])
CPPFLAGS=$weft_save_cppflags LIBS=$weft_save_libs
])

# NCCL_NET_LINK: whether `make install` links libnccl-net.so, NCCL's default name of a plugin.
AC_DEFUN([WEFT_NCCL_NET_LINK], [
AC_ARG_ENABLE([libnccl-net-link], [AS_HELP_STRING([--enable-libnccl-net-link],
	[make install links libnccl-net.so, NCCL's default, to Weft: auto: unless another plugin has the name; yes: in
	place of another plugin's; no @<:@auto@:>@])], [], [enable_libnccl_net_link=auto])
AS_CASE([$enable_libnccl_net_link],
	[auto|yes|no], [],
	[AC_MSG_ERROR([--enable-libnccl-net-link=$enable_libnccl_net_link: takes auto, yes or no])])
AC_SUBST([NCCL_NET_LINK], [$enable_libnccl_net_link])
])
