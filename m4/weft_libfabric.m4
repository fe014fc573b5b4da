# SPDX-License-Identifier: Apache-2.0
# WEFT_CHECK_LIBFABRIC(MAJOR, MINOR): sets FABRIC_CFLAGS, FABRIC_LIBS, and a HAVE_ for each newer feature of its
# headers, by which src/fabric/newer.h checks its own definitions. Weft tests the library's features at run time.

# WEFT_FABRIC_FEATURE(SYMBOL, HEADER)
AC_DEFUN([WEFT_FABRIC_FEATURE], [
AC_CHECK_DECL([$1], [AC_DEFINE([HAVE_$1], [1], [libfabric declares $1])], [], [[#include <$2>]])
])

AC_DEFUN([WEFT_CHECK_LIBFABRIC], [
AC_ARG_WITH([libfabric], [AS_HELP_STRING([--with-libfabric=DIR],
	[libfabric $1.$2 or newer, when it is not where the system looks])], [], [with_libfabric=])
AS_IF([test "$with_libfabric" = no], [AC_MSG_ERROR([Weft is made of libfabric: --without-libfabric cannot be])])
weft_hint="Install libfabric $1.$2 or newer (Debian, Ubuntu: apt-get install libfabric-dev) or name its
  place with --with-libfabric=DIR (the directory that holds include/rdma and lib)."
WEFT_LOCATE([FABRIC], [--with-libfabric], [$with_libfabric], [libfabric], [fabric], [rdma/fabric.h])
AC_MSG_CHECKING([for libfabric $1.$2 or newer])
WEFT_TRY([FABRIC], [#include <rdma/fabric.h>],
	[FI_VERSION_GE(FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION), FI_VERSION($1, $2))],
	[(void)fi_version()],
	[AC_MSG_RESULT([no]); AC_MSG_ERROR([no header rdma/fabric.h ($FABRIC_CFLAGS)
  $weft_hint])],
	[AC_MSG_RESULT([too old]); AC_MSG_ERROR([the libfabric found ($FABRIC_CFLAGS) is too old
  $weft_hint])],
	[AC_MSG_RESULT([no]); AC_MSG_ERROR([the header is there, but linking with $FABRIC_LIBS fails
  $weft_hint])])
AC_MSG_RESULT([yes])
weft_save_cppflags=$CPPFLAGS
CPPFLAGS="$CPPFLAGS $FABRIC_CFLAGS"
WEFT_FABRIC_FEATURE([FI_MR_DMABUF], [rdma/fi_domain.h])
WEFT_FABRIC_FEATURE([FI_OPT_CUDA_API_PERMITTED], [rdma/fi_endpoint.h])
WEFT_FABRIC_FEATURE([FI_OPT_SHARED_MEMORY_PERMITTED], [rdma/fi_endpoint.h])
WEFT_FABRIC_FEATURE([FI_OPT_EFA_EMULATED_WRITE], [rdma/fi_ext.h])
WEFT_FABRIC_FEATURE([FI_OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES], [rdma/fi_ext.h])
AC_COMPUTE_INT([weft_fabric_major], [FI_MAJOR_VERSION], [[#include <rdma/fabric.h>]])
AC_COMPUTE_INT([weft_fabric_minor], [FI_MINOR_VERSION], [[#include <rdma/fabric.h>]])
CPPFLAGS=$weft_save_cppflags
weft_fabric_found="$weft_fabric_major.$weft_fabric_minor ($FABRIC_LIBS)"
])
