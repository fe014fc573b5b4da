# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For scripts that run the collectives' programs from end to end. Source it after tap.bash. It makes the directory $work,
# and removes what a launcher or NCCL's tests may have left in the environment.

build=${TEST_BUILDDIR:?run by make check}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Memory that libfabric keeps is not a leak of Weft.
if [ -n "${TEST_SANITIZER:-}" ]; then
	echo leak:libfabric.so >"$work/lsan"
	export LSAN_OPTIONS="suppressions=$work/lsan:print_suppressions=0"
fi
unset RANK WORLD_SIZE MASTER_ADDR MASTER_PORT PMI_RANK PMIX_RANK OMPI_COMM_WORLD_RANK SLURM_PROCID
unset NCCL_TESTS_DEVICE NCCL_TESTS_MIN_BW NCCL_TESTS_SPLIT NCCL_TESTS_SPLIT_MASK

run() { # collective, arguments: leaves $status, and out and err in $work
	timeout --kill-after=5 200 "$build/benchmarks/$1_perf" "${@:2}" >"$work/out" 2>"$work/err"
	# shellcheck disable=SC2034 # the scripts read it
	status=$?
}
