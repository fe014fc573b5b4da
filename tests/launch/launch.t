#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks under real launchers, on one host and on two (see lab.bash): tables are verified, and the exit status
# is 0. It also covers common problems: names that resolve late, 127.0.1.1 in /etc/hosts, networks that are cut. It runs
# for minutes: `make launch`. Launchers that are not installed are skipped by name. Functions are called by name,
# through try and ends.
# shellcheck disable=SC2317
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
# shellcheck source=tests/launch/lab.bash
. "$here/lab.bash"
build=${TEST_BUILDDIR:?run by make launch}
src=${TEST_SRCDIR:?}
perf=$build/benchmarks/all_reduce_perf
pair=$build/benchmarks/weft-pair
net_perf=$build/benchmarks/weft_net_perf
# Traffic uses eth0 instead of loopback, so that mgmt0 can be cut.
unset FI_TCP_IFACE FI_NET_IFACE WEFT_PROVIDER RANK WORLD_SIZE MASTER_ADDR MASTER_PORT
export WEFT_NICS=eth0 LC_ALL=C
# Open MPI rejects root without these, and counts free cores in its own way.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_oob_tcp_if_include=eth0 OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_btl=self,tcp OMPI_MCA_pml=ob1

reason=$(lab_missing)
if [ -n "$reason" ]; then
	skip "launchers in two network namespaces" "$reason"
	tap_done
fi
work=$(mktemp -d)
lab_up || { bad "two hosts" "cannot make them"; tap_done; }
rsh=$(lab_rsh "$work")
args=(-b 8 -e 32K -f 8 -n 2)
rows=5
pair_args=(--time-ms 10 --reps 1 --least 0)
net_args=(-b 8 -e 64K -f 64 --time-ms 20 --reps 2 --comms 2 --threads 2)
in_place=0

# Does $work/out hold one verified table of this many ranks, with these hosts in its header?
verified() { # ranks, hosts...
	local ranks=$1 host
	shift
	[ "$(grep -c '^# Out of bounds values : 0 OK$' "$work/out")" = 1 ] &&
		[ "$(awk '$1 ~ /^[0-9]+$/ && NF == 13 && $9 == "0" && ($13 == "0" || $13 == in_place)' in_place="$in_place" "$work/out" | wc -l)" = $rows ] &&
		[ "$(grep -cE '^# +Rank ' "$work/out")" = "$ranks" ] || return
	for host in "$@"; do
		grep -qE "^# +Rank .* on +$host " "$work/out" || return
	done
}

# Runs a command, or a function that is exported to the shell under timeout. The limit ends commands that hang.
within_time() { # command...
	timeout --kill-after=5 300 bash -c '"$@"' command "$@"
}

# LAUNCH_ONLY='srun*' runs only the tests whose names match.
wanted() { # description
	# The right side is meant as a pattern.
	# shellcheck disable=SC2053
	[[ $1 == ${LAUNCH_ONLY:-*} ]]
}

# Passes if the command ends with status 0 and its table is verified.
try() { # description, ranks, hosts in one word, command...
	local what=$1 ranks=$2 hosts=$3 status
	wanted "$what" || return 0
	shift 3
	within_time "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	# shellcheck disable=SC2086
	if [ $status = 0 ] && verified "$ranks" $hosts; then
		ok "$what"
	else
		bad "$what" "exit $status" "$(head -n 60 "$work/out")" "$(tail -n 40 "$work/err")"
	fi
}

# Passes if the command ends with this status and its output matches.
ends() { # description, status, pattern, command...
	local what=$1 expected=$2 pattern=$3 status
	wanted "$what" || return 0
	shift 3
	within_time "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	if [ $status = "$expected" ] && grep -qE -- "$pattern" "$work/out" "$work/err"; then
		ok "$what"
	else
		bad "$what" "exit $status" "$(head -n 60 "$work/out")" "$(tail -n 40 "$work/err")"
	fi
}

has() { # program
	command -v "$1" >/dev/null
}

# Starts one rank on each host, like a script. Options: variables for env, then -- and the options of the program.
one_each() { # port, variables... -- options...
	local port=$1 variables=() rank pids=() status=0
	shift
	while [ "$1" != -- ]; do
		variables+=("$1")
		shift
	done
	shift
	for rank in 0 1; do
		on "hd$rank" env RANK="$rank" WORLD_SIZE=2 MASTER_ADDR=hd0 MASTER_PORT="$port" "${variables[@]}" \
			"$perf" "$@" &
		pids+=($!)
	done
	for rank in 0 1; do
		wait "${pids[$rank]}" || status=$?
	done
	return "$status"
}
export -f one_each on lab_ns
export perf lab_prefix
each=(one_each)

# Cuts the network on which the ranks meet, in the background, because it takes most of a minute. The ranks survive a
# cut of 8 s; after a permanent cut both report silence. Output goes to $work/cut.*.
cut_meeting_network() {
	local pid rank pids=()
	for rank in 0 1; do
		on "hd$rank" env RANK="$rank" WORLD_SIZE=2 MASTER_ADDR=10.78.0.1 MASTER_PORT=23001 \
			nice -n 19 "$perf" -b 1K -e 1K -n 100000000 -c 0 >"$work/cut.$rank" 2>&1 &
		pids+=($!)
	done
	for _ in $(seq 600); do
		! grep -qs '^ *1024 ' "$work/cut.0" || break
		sleep 0.1
	done
	ip -n "$(lab_ns hdctl)" link set b1 down
	sleep 8
	ip -n "$(lab_ns hdctl)" link set b1 up
	sleep 15
	for pid in "${pids[@]}"; do
		kill -0 "$pid" 2>/dev/null || echo "ended" >>"$work/cut.short"
	done
	ip -n "$(lab_ns hdctl)" link set b1 down
	for rank in 0 1; do
		wait "${pids[$rank]}"
		echo "status $?" >>"$work/cut.$rank"
	done
}
[ -n "${LAUNCH_ONLY:-}" ] || cut_meeting_network &
cut_pid=$!

# Without a launcher, and started by hand.
try "--ranks 2 with WEFT_NICS=eth0" 2 hd0 on hd0 "$perf" --ranks 2 "${args[@]}"
if ! wanted "and that is the device"; then
	:
elif grep -q 'weft/eth0$' "$work/out"; then
	ok "and that is the device"
else
	bad "and that is the device" "$(cat "$work/out")"
fi
ends "a NIC that is not there" 3 'has no usable device; NCCL_DEBUG=INFO shows why' \
	on hd0 env WEFT_NICS=eth9 "$perf" --ranks 2 "${args[@]}"
try "variables by hand, two hosts" 2 "hd0 hd1" "${each[@]}" 23010 -- "${args[@]}"

# Names.
lab_set_hosts hd0 <<-TEXT
	127.0.0.1 localhost
	127.0.1.1 hd0
	10.77.0.2 hd1
	10.77.0.254 hdctl
TEXT
try "127.0.1.1 in /etc/hosts of rank 0" 2 "hd0 hd1" "${each[@]}" 23012 -- "${args[@]}"
lab_default_hosts hd0
(
	sleep 4
	for host in hd0 hd1; do
		{
			lab_default_hosts $host
			echo 10.77.0.1 late >>"/etc/netns/$(lab_ns $host)/hosts"
		}
	done
) &
try "a name that resolves late" 2 "hd0 hd1" "${each[@]}" 23013 MASTER_ADDR=late -- "${args[@]}"
wait $!
lab_default_hosts hd0
lab_default_hosts hd1
ends "a name that never resolves" 1 'rank 1 of 2 on hd1 cannot reach rank 0 at never: ' \
	on hd1 env RANK=1 WORLD_SIZE=2 MASTER_ADDR=never "$perf" --meet_timeout 2 "${args[@]}"
ends "a rank that never comes" 1 'after 2 s these of 2 ranks are missing: 1 ' \
	on hd0 env RANK=0 WORLD_SIZE=2 MASTER_ADDR=hd0 "$perf" --meet_timeout 2 "${args[@]}"
ends "rank 0 on another host than the node list's first" 1 'rank 0 runs on hd1, but SLURM_JOB_NODELIST .* on hd0: set MASTER_ADDR=hd1' \
	on hd1 env SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_NNODES=2 'SLURM_JOB_NODELIST=hd[0-1]' "$perf" "${args[@]}"

# Open MPI.
# shellcheck disable=SC2054 # the commas belong to the launchers
two_hosts=(mpirun.openmpi --mca plm rsh --mca plm_rsh_agent "$rsh" -H hd0:2,hd1:2 -x WEFT_NICS)
if ! has mpirun.openmpi; then
	skip "Open MPI" "needs openmpi-bin"
else
	try "Open MPI, one host" 4 hd0 on hd0 mpirun.openmpi -n 4 "$perf" "${args[@]}"
	try "Open MPI, two hosts" 4 "hd0 hd1" \
		on hd0 "${two_hosts[@]}" -x MASTER_ADDR=hd0 "$perf" "${args[@]}"
	ends "weft-pair: Open MPI, two hosts" 0 '^  us +3( +[0-9.]+){3} +-$' \
		on hd0 "${two_hosts[@]}" -x MASTER_ADDR=hd0 "$pair" "${pair_args[@]}"
	ends "Open MPI, two hosts without MASTER_ADDR" 2 'set MASTER_ADDR to its host.*mpirun -x MASTER_ADDR=HOST' \
		on hd0 "${two_hosts[@]}" "$perf" "${args[@]}"
fi

# MPICH.
# shellcheck disable=SC2054
hydra=(mpiexec.hydra -launcher ssh -launcher-exec "$rsh" -hosts hd0,hd1)
if ! has mpiexec.hydra; then
	skip "MPICH" "needs mpich"
else
	try "MPICH, one host" 4 hd0 on hd0 mpiexec.hydra -n 4 "$perf" "${args[@]}"
	try "MPICH, one host, each rank in a script" 3 hd0 \
		on hd0 mpiexec.hydra -n 3 sh -c '"$@"; exit $?' rank "$perf" "${args[@]}"
	ends "weft_net_perf: MPICH, two hosts" 0 '^# rank 0 on hd0, rank 1 on hd1 \(PMI\)' \
		on hd0 "${hydra[@]}" -n 2 -genv MASTER_ADDR hd0 "$net_perf" "${net_args[@]}"
	try "MPICH, two hosts" 4 "hd0 hd1" on hd0 "${hydra[@]}" -n 4 -genv MASTER_ADDR hd0 "$perf" "${args[@]}"
fi

# Builds --with-mpi: no MASTER_ADDR is needed.
build_with() { # name, its mpicc
	mkdir -p "$build/launch-$1" && cd "$build/launch-$1" || return
	[ -e config.status ] || MPICC=$2 "$src/configure" --quiet --with-mpi >configure.out 2>&1 || return
	make --no-print-directory -j"$(nproc)" benchmarks/all_reduce_perf >make.out 2>&1
}
with_mpi() { # name, its mpicc, what starts one host, what starts two
	local name=$1 program=$build/launch-$1/benchmarks/all_reduce_perf plugin=$build/src/.libs/libnccl-net-weft.so
	local -n one=$3 two=$4
	if ! (build_with "$name" "$2"); then
		bad "build with $name" "$(tail -n 20 "$build/launch-$name"/*.out)"
		return
	fi
	try "--with-mpi, $name, one host" 2 hd0 on hd0 "${one[@]}" -n 2 "$program" --plugin "$plugin" "${args[@]}"
	try "--with-mpi, $name, two hosts without MASTER_ADDR" 4 "hd0 hd1" \
		on hd0 "${two[@]}" -n 4 "$program" --plugin "$plugin" "${args[@]}"
	# The host names do not resolve there; hydra itself needs them, so only Open MPI is tested.
	[ "$name" = openmpi ] || return 0
	echo 127.0.0.1 localhost | lab_set_hosts hd1
	printf '%s\n' "127.0.0.1 localhost" "127.0.1.1 hd0" "10.77.0.2 hd1" | lab_set_hosts hd0
	try "--with-mpi, $name, the other host does not know rank 0's name" 4 "hd0 hd1" \
		on hd0 "${two[@]}" -n 4 "$program" --plugin "$plugin" "${args[@]}"
	lab_default_hosts hd0
	lab_default_hosts hd1
}
# with_mpi uses these variables by name.
# shellcheck disable=SC2034
openmpi_one=(mpirun.openmpi) mpich_one=(mpiexec.hydra)
if has mpicc.openmpi && has mpirun.openmpi; then
	with_mpi openmpi "$(command -v mpicc.openmpi)" openmpi_one two_hosts
else
	skip "--with-mpi, openmpi" "needs libopenmpi-dev"
fi
if has mpicc.mpich && has mpiexec.hydra; then
	with_mpi mpich "$(command -v mpicc.mpich)" mpich_one hydra
else
	skip "--with-mpi, mpich" "needs libmpich-dev"
fi

# Without the launcher's PMI or PMIx, MPI sees each process as a job of its own; then the environment is used.
if [ -x "$build/launch-openmpi/benchmarks/all_reduce_perf" ] && has mpiexec.hydra; then
	try "--with-mpi, openmpi, started by MPICH" 2 hd0 on hd0 mpiexec.hydra -n 2 \
		"$build/launch-openmpi/benchmarks/all_reduce_perf" --plugin "$build/src/.libs/libnccl-net-weft.so" "${args[@]}"
fi

# torchrun. Its two agents meet on a port of their own. PyTorch 1.13 on Python 3.11 cannot parse its own default "0" of
# -r and -t, so here only the output of the tenth rank, which does not exist, is redirected.
torchrun_logs=(-r 9:3 -t 9:3)
torchruns() { # options...
	local node pids=() status=0 torchrun_logs=(-r 9:3 -t 9:3)
	for node in 0 1; do
		on "hd$node" torchrun "${torchrun_logs[@]}" --nnodes 2 --nproc_per_node 2 --node_rank "$node" --master_addr 10.77.0.1 \
			--master_port 23900 --no_python "$perf" "$@" &
		pids+=($!)
	done
	for node in 0 1; do
		wait "${pids[$node]}" || status=$?
	done
	return "$status"
}
export -f torchruns
if ! has torchrun || ! torchrun --help >/dev/null 2>&1; then
	skip "torchrun" "needs PyTorch (python3-torch)"
else
	try "torchrun, one host" 2 hd0 on hd0 torchrun "${torchrun_logs[@]}" --standalone --nproc_per_node 2 --no_python "$perf" "${args[@]}"
	try "torchrun, two hosts" 4 "hd0 hd1" torchruns "${args[@]}"
fi

# Slurm.
batch() { # command of the script...
	local status
	printf '%s\n' '#!/bin/bash' "$*" >"$work/$1"
	on hdctl sbatch -W -Q -N2 -n4 -o "$work/$1.out" -D "$work" "$work/$1"
	status=$?
	cat "$work/$1.out"
	return "$status"
}
export -f batch
export work
slurm_tests() {
	try "srun, one host" 2 hd0 on hdctl srun -N1 -n2 "$perf" "${args[@]}"
	for program in all_reduce all_gather reduce_scatter alltoall sendrecv broadcast reduce gather scatter alltoallv \
		hypercube; do
		# These programs have no expected result in place.
		case $program in alltoall | sendrecv | alltoallv) in_place=N/A ;; *) in_place=0 ;; esac
		try "srun, two hosts, ${program}_perf" 4 "hd0 hd1" \
			on hdctl srun -N2 -n4 "$build/benchmarks/${program}_perf" -b 512 -e 2M -f 8 -n 2
	done
	in_place=0
	ends "weft-pair: srun, two hosts" 0 '^  us +3( +[0-9.]+){3} +-$' \
		on hdctl srun -N2 -n4 "$pair" "${pair_args[@]}"
	ends "weft_net_perf: srun, two hosts" 0 '^# rank 0 on hd0, rank 1 on hd1 \(Slurm\)' \
		on hdctl srun -N2 -n2 "$net_perf" "${net_args[@]}" --raw --provider tcp
	printf 'hd1\nhd0\nhd1\n' >"$work/hostfile"
	try "srun -m arbitrary, rank 0 on the last host" 3 "hd0 hd1" \
		on hdctl env SLURM_HOSTFILE="$work/hostfile" srun -n3 -m arbitrary "$perf" "${args[@]}"
	try "srun -m arbitrary -w, without a file" 3 "hd0 hd1" \
		on hdctl srun -n3 -m arbitrary -w hd1,hd0,hd1 "$perf" "${args[@]}"
	try "srun --mpi=pmi2" 3 "hd0 hd1" on hdctl srun --mpi=pmi2 -N2 -n3 "$perf" "${args[@]}"
	lab_default_hosts hd0
	sed -i 's/^10.77.0.1 hd0/127.0.1.1 hd0/' "/etc/netns/$(lab_ns hd0)/hosts"
	try "srun, 127.0.1.1 in /etc/hosts of rank 0" 4 "hd0 hd1" on hdctl srun -N2 -n4 "$perf" "${args[@]}"
	lab_default_hosts hd0
	for program in openmpi mpich; do
		[ -x "$build/launch-$program/benchmarks/all_reduce_perf" ] || continue
		try "srun, built --with-mpi, $program" 4 "hd0 hd1" \
			on hdctl srun -N2 -n4 "$build/launch-$program/benchmarks/all_reduce_perf" \
			--plugin "$build/src/.libs/libnccl-net-weft.so" "${args[@]}"
		try "srun --mpi=pmi2, built --with-mpi, $program" 4 "hd0 hd1" \
			on hdctl srun --mpi=pmi2 -N2 -n4 "$build/launch-$program/benchmarks/all_reduce_perf" \
			--plugin "$build/src/.libs/libnccl-net-weft.so" "${args[@]}"
	done
	if has mpirun.openmpi; then
		try "sbatch and mpirun" 4 "hd0 hd1" batch mpirun.openmpi "$perf" "${args[@]}"
	fi
	if has mpiexec.hydra; then
		try "sbatch and mpiexec.hydra" 4 "hd0 hd1" batch mpiexec.hydra "$perf" "${args[@]}"
	fi
}

# The scripts of contrib/slurm: a node that lacks a NIC is drained with the reason, and its jobs run elsewhere.
one_node() { # script
	on hdctl sbatch -W -Q --requeue -N1 -n2 -o "$work/job.out" -D "$work" "$1"
	local status=$?
	cat "$work/job.out"
	return "$status"
}
export -f one_node
drained() { # host
	local state
	for _ in $(seq 100); do
		state=$(on hdctl scontrol show node "$1" | xargs)
		[[ ! $state =~ DRAIN ]] || break
		sleep 0.1
	done
	[[ $state =~ DRAIN.*Reason=weft:\ nics=2:\ 1 ]] || echo "$state"
}
resume() { # host
	lab_slurm_node "$1" 1
	on hdctl scontrol update NodeName="$1" State=RESUME
}
health_tests() {
	printf '#!/bin/sh\nexec srun "%s" %s\n' "$perf" "${args[*]}" >"$work/job"
	lab_slurm_node hd0 2
	try "prolog: a job runs on a fit node" 2 hd1 one_node "$work/job"
	none "prolog: scontrol says why the other node is drained" "$(drained hd0)"
	resume hd0
	try "prolog: a node that is mended runs jobs" 2 hd0 on hdctl srun -w hd0 -n2 "$perf" "${args[@]}"
	# The program breaks its node and fails, once.
	mkdir -p "$work/bin"
	cat >"$work/bin/weft_all_reduce_perf" <<-TEXT
		#!/bin/sh
		[ -n "\$SLURM_RESTART_COUNT" ] || { sed -i s/nics=1/nics=2/ "$lab_slurm/node-hd0.conf"; exit 7; }
		exec "$perf" ${args[*]}
	TEXT
	chmod +x "$work/bin/weft_all_reduce_perf"
	PATH=$work/bin:$PATH try "all_reduce.sbatch: a job that fails is requeued and runs elsewhere" 2 hd1 \
		one_node "$src/contrib/slurm/all_reduce.sbatch"
	none "epilog: its first node is drained" "$(drained hd0)"
	# shellcheck disable=SC2016
	none "task prolog: tasks get the plugin and the node's settings" "$(
		on hdctl srun -w hd1 sh -c 'echo $NCCL_NET_PLUGIN $WEFT_NICS' 2>&1 | grep -vx 'weft eth0'
	)"
	resume hd0
}
reason=$(lab_slurm_missing)
if [ -n "$reason" ]; then
	skip "Slurm" "$reason (slurm-wlm, munge)"
elif ! lab_slurm_up 2>"$work/err"; then
	bad "Slurm starts on two hosts" "$(cat "$work/err")"
else
	slurm_tests
	health_tests
fi

# Limits of a control group reduce the sizes. This runs on the machine's loopback, because ip netns exec hides the
# control groups. The shells expand the variables.
# shellcheck disable=SC2016
limited() {
	local root=/sys/fs/cgroup group limit=memory.max inside=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"')
	[ ! -d $root/memory ] || { root=$root/memory limit=memory.limit_in_bytes; }
	group=$root/$lab_prefix
	mkdir "$group" 2>/dev/null || return
	if ! echo 150000000 >"$group/$limit"; then
		rmdir "$group"
		return 1
	fi
	ends "a control group of 150 MB: the largest size is reduced" 0 \
		'^# Reducing maxBytes to [1-9][0-9]{6,7} due to memory' \
		"${inside[@]}" "$group" env WEFT_NICS=lo "$perf" --ranks 2 -b 8 -e 256M -f 1024 -n 2
	ends "a control group of 150 MB: staging buffers that do not fit are refused" 1 \
		'not enough memory: buffers of ' \
		"${inside[@]}" "$group" env WEFT_NICS=lo "$perf" --ranks 2 -b 8 -e 8 -n 2 --chunk 64M
	sleep 0.2
	rmdir "$group"
}
limited || skip "limits of a control group" "cannot make one"

# The results of the cut.
wait $cut_pid
if [ -n "${LAUNCH_ONLY:-}" ]; then
	tap_done
fi
none "ranks survive 8 s without the network that they meet on" "$(cat "$work/cut.short" 2>/dev/null)"
for rank in 0 1; do
	other=$((1 - rank))
	if grep -q "no answer from rank $other (hd$other, pid [0-9]*) for 30 s: .*the network that the ranks meet on is cut" \
		"$work/cut.$rank" && ! grep -q died "$work/cut.$rank" && grep -q '^status [1-9]' "$work/cut.$rank"; then
		ok "rank $rank reports silence, not a death"
	else
		bad "rank $rank reports silence, not a death" "$(cat "$work/cut.$rank")"
	fi
done
ip -n "$(lab_ns hdctl)" link set b1 up
try "two NICs" 2 "hd0 hd1" "${each[@]}" 23011 WEFT_NICS=eth0,mgmt0 -- "${args[@]}" -J "$work/two.json"
if ! wanted "and the header and JSON name both"; then
	:
elif [ "$(grep -cE 'device +[01] .* weft/(eth0|mgmt0)$' "$work/out")" = 4 ] &&
	[ "$(grep -oE '"device_info":"weft/mgmt0"' "$work/two.json" | wc -l)" = 2 ]; then
	ok "and the header and JSON name both"
else
	bad "and the header and JSON name both" "$(cat "$work/out")" "$(cat "$work/two.json")"
fi

# Ranks meet on mgmt0, while eth0 loses all packets: the plugin's own limit applies, and its message is shown.
for host in hd0 hd1; do
	ip -n "$(lab_ns $host)" neigh replace "10.77.0.$([ $host = hd0 ] && echo 2 || echo 1)" \
		lladdr 02:00:00:00:00:99 nud permanent dev eth0
done
ends "the plugin's diagnosis is not hidden" 3 "Test NCCL failure (connect|accept), channel .*'remote error / [^']*WEFT_CONNECT_TIMEOUT" \
	"${each[@]}" 23014 MASTER_ADDR=10.78.0.1 WEFT_CONNECT_TIMEOUT=4s -- "${args[@]}"
ends "-T ends connecting, with its own number and the peer" 4 'Test timeout \(2s\) connecting channel 0 .*rank [01] \(hd[01], pid' \
	"${each[@]}" 23015 MASTER_ADDR=10.78.0.1 -- "${args[@]}" -T 2
tap_done
