#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# contrib/slurm's prolog and task prolog with stand-ins for weft-info, scontrol and logger: a node is drained for what it
# lacks, and only for that. launch.t runs them under Slurm.
set -u
# shellcheck source=tests/check/tap.bash
. "$(dirname "$0")/../check/tap.bash"
slurm=${TEST_SRCDIR:?run by make check}/contrib/slurm
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# weft-info lacks each requirement that is not nics=1, and refuses an empty list as the real one does.
mkdir "$tmp/bin"
cat >"$tmp/bin/weft-info" <<-'END'
	#!/bin/sh
	case $2 in
	"") echo "weft-info: --require: nothing is required" >&2; exit 2 ;;
	nics=1) exit 0 ;;
	*) echo "unmet: $2: none"; exit 1 ;;
	esac
END
for program in scontrol logger; do
	printf '#!/bin/sh\necho "%s $*" >>"%s/said"\n' "$program" "$tmp" >"$tmp/bin/$program"
done
chmod +x "$tmp"/bin/*
conf=$tmp/node.conf

# Runs a script with this node.conf. Prints its status, and what it told Slurm and the log.
node() { # script, node.conf
	printf '%s\n' "$2" >"$conf"
	: >"$tmp/said"
	env -i PATH="$tmp/bin:$PATH" SLURMD_NODENAME=n1 WEFT_NODE_CONF="$conf" "$slurm/$1" >"$tmp/out" 2>&1
	echo "status $?"
	cat "$tmp/said"
}
is() { # description, expected, got
	if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "$3"; fi
}

is "prolog: a fit node runs jobs" "status 0" "$(node prolog WEFT_REQUIRE=nics=1)"
is "prolog: what a node lacks drains it" \
	$'status 1\nlogger -t weft unmet: nics=2: none\nscontrol update NodeName=n1 State=DRAIN Reason=weft: nics=2: none' \
	"$(node prolog WEFT_REQUIRE=nics=2)"
is "prolog: a node.conf without WEFT_REQUIRE drains no node, and the log says that it is not checked" \
	$'status 0\n'"logger -t weft $conf sets no WEFT_REQUIRE: the node is not checked" \
	"$(node prolog WEFT_REQUIRE_TASK=memlock)"
is "task prolog: a node.conf without WEFT_REQUIRE_TASK asks for nothing" \
	$'status 0\nexport NCCL_NET_PLUGIN=weft' "$(node task_prolog WEFT_REQUIRE=nics=1)"$'\n'"$(<"$tmp/out")"
tap_done
