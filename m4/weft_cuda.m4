# SPDX-License-Identifier: Apache-2.0
# CUDA and NCCL are optional when Weft is built. CUDA itself is found at run time, so only its header
# matters here; libnccl is for the benchmarks.

# CUDA_CFLAGS, HAVE_CUDA.
AC_DEFUN([WEFT_CHECK_CUDA], [
AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda@<:@=DIR@:>@],
	[CUDA's header cuda.h (default: when found, also in $CUDA_HOME and /usr/local/cuda)])],
	[], [with_cuda=check])
weft_cuda_found=no
AC_MSG_CHECKING([for CUDA's header])
AS_CASE([$with_cuda],
	[no], [weft_dirs=],
	[yes|check], [weft_dirs="- ${CUDA_HOME:+"$CUDA_HOME"} /usr/local/cuda"],
	[weft_dirs=$with_cuda])
weft_save_cppflags=$CPPFLAGS
for weft_dir in $weft_dirs; do
	AS_IF([test "$weft_dir" = -], [CUDA_CFLAGS=],
		[test -r "$weft_dir/include/cuda.h"], [CUDA_CFLAGS=-I$weft_dir/include], [continue])
	CPPFLAGS="$weft_save_cppflags $CUDA_CFLAGS"
	AC_COMPILE_IFELSE([AC_LANG_SOURCE([[#include <cuda.h>
#if CUDA_VERSION < 11000
#error too old
#endif
]])], [weft_cuda_found="yes ${CUDA_CFLAGS:+($CUDA_CFLAGS)}"; break])
done
CPPFLAGS=$weft_save_cppflags
AC_SUBST([CUDA_CFLAGS])
AC_MSG_RESULT([${weft_cuda_found%% *}])
AS_IF([test "$weft_cuda_found" != no],
		[AC_DEFINE([HAVE_CUDA], [1], [cuda.h is there])],
	[test "$with_cuda" != no && test "$with_cuda" != check],
		[AC_MSG_ERROR([--with-cuda: no cuda.h of CUDA 11.0 or newer (looked in: $weft_dirs).
  Name the toolkit's place with
  --with-cuda=DIR (the directory that holds include/cuda.h; Debian, Ubuntu: apt-get install nvidia-cuda-dev),
  or leave --with-cuda out: Weft finds CUDA at run time.])],
	[CUDA_CFLAGS=])
AM_CONDITIONAL([HAVE_CUDA], [test "$weft_cuda_found" != no])
])

# NCCL_CFLAGS, NCCL_LIBS, HAVE_NCCL. Only when asked for: benchmarks that drive NCCL itself link with it.
AC_DEFUN([WEFT_CHECK_NCCL], [
AC_ARG_WITH([nccl], [AS_HELP_STRING([--with-nccl@<:@=DIR@:>@],
	[let the benchmarks drive NCCL itself (nccl.h and libnccl)])], [], [with_nccl=no])
weft_nccl_found=no
AS_IF([test "$with_nccl" != no], [
	weft_hint="Install NCCL (NVIDIA's Debian and Ubuntu package: libnccl-dev) or name its place with
  --with-nccl=DIR (the directory that holds include/nccl.h and lib); its header needs CUDA's (--with-cuda=DIR)."
	WEFT_LOCATE([NCCL], [--with-nccl], [$with_nccl], [nccl], [nccl], [nccl.h])
	NCCL_CFLAGS="$NCCL_CFLAGS $CUDA_CFLAGS"
	AC_MSG_CHECKING([for NCCL])
	WEFT_TRY([NCCL], [#include <nccl.h>], [NCCL_VERSION_CODE >= 21800], [int v; (void)ncclGetVersion(&v)],
		[AC_MSG_RESULT([no]); AC_MSG_ERROR([--with-nccl: no usable nccl.h ($NCCL_CFLAGS)
  $weft_hint])],
		[AC_MSG_RESULT([too old]); AC_MSG_ERROR([--with-nccl: the NCCL found is older than 2.18
  $weft_hint])],
		[AC_MSG_RESULT([no]); AC_MSG_ERROR([--with-nccl: linking with $NCCL_LIBS fails
  $weft_hint])])
	AC_MSG_RESULT([yes])
	AC_DEFINE([HAVE_NCCL], [1], [nccl.h and libnccl are there])
	weft_nccl_found="yes ($NCCL_LIBS)"
])
AC_SUBST([NCCL_CFLAGS])
AC_SUBST([NCCL_LIBS])
AM_CONDITIONAL([HAVE_NCCL], [test "$with_nccl" != no])
])
