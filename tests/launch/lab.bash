# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Two hosts for launchers, hd0 and hd1, as network namespaces behind a switch, and hdctl, the switch, for Slurm's
# controller. Each has a host name and an /etc/hosts of its own; all share the file system. Source it, call lab_up;
# lab_down ends and removes everything.
#
#	hd0 eth0 10.77.0.1 --+-- hdctl br0 10.77.0.254     traffic
#	hd1 eth0 10.77.0.2 --+
#	hd0 mgmt0 10.78.0.1 -+-- hdctl br1                 where ranks can meet instead
#	hd1 mgmt0 10.78.0.2 -+

lab_prefix=wlaunch$$
lab_hosts=(hd0 hd1 hdctl)
lab_slurm_pids=()
lab_slurm=

# Prints the reason if a lab is impossible here.
lab_missing() {
	[ "$(id -u)" = 0 ] || { echo "needs root"; return; }
	netns_missing
	# ip netns exec gives each host its files of /etc/netns/NAME.
	[ -w /etc ] || echo "cannot write to /etc/netns"
}

lab_ns() { # host
	echo "$lab_prefix-$1"
}

# Runs a command on a host.
on() { # host, command...
	local host=$1
	shift
	# The inner shell expands the variables.
	# shellcheck disable=SC2016
	ip netns exec "$(lab_ns "$host")" unshare -u -- sh -c 'hostname "$0"; exec "$@"' "$host" "$@"
}

# Sets a host's /etc/hosts from standard input.
lab_set_hosts() { # host
	cat >"/etc/netns/$(lab_ns "$1")/hosts"
}

lab_default_hosts() { # host
	lab_set_hosts "$1" <<-TEXT
		127.0.0.1 localhost
		10.77.0.1 hd0
		10.77.0.2 hd1
		10.77.0.254 hdctl
	TEXT
}

lab_link() { # host, its interface, address, bridge, name at the bridge
	local ns
	ns=$(lab_ns "$1")
	ip link add "$5" netns "$(lab_ns hdctl)" type veth peer name "$2" netns "$ns" &&
		ip -n "$(lab_ns hdctl)" link set "$5" master "$4" up &&
		ip -n "$ns" addr add "$3/24" dev "$2" &&
		ip -n "$ns" link set "$2" up
}

lab_up() {
	local host ns bridge
	trap lab_down EXIT
	for host in "${lab_hosts[@]}"; do
		ns=$(lab_ns "$host")
		ip netns add "$ns" && ip -n "$ns" link set lo up && mkdir -p "/etc/netns/$ns" || return
		lab_default_hosts "$host"
	done
	for bridge in 0 1; do
		ip -n "$(lab_ns hdctl)" link add br$bridge type bridge &&
			ip -n "$(lab_ns hdctl)" addr add 10.7$((7 + bridge)).0.254/24 dev br$bridge &&
			ip -n "$(lab_ns hdctl)" link set br$bridge up || return
		lab_link hd0 "$([ $bridge = 0 ] && echo eth0 || echo mgmt0)" 10.7$((7 + bridge)).0.1 br$bridge a$bridge &&
			lab_link hd1 "$([ $bridge = 0 ] && echo eth0 || echo mgmt0)" 10.7$((7 + bridge)).0.2 br$bridge b$bridge ||
			return
	done
}

lab_down() {
	local host ns pid
	for pid in "${lab_slurm_pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for host in "${lab_hosts[@]}"; do
		ns=$(lab_ns "$host")
		# Only processes in the namespaces of this script.
		for pid in $(ip netns pids "$ns" 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$ns" 2>/dev/null
		rm -rf "/etc/netns/$ns"
	done
	rmdir /etc/netns 2>/dev/null
	[ -z "$lab_slurm" ] || rm -rf "$lab_slurm"
	[ -z "${work:-}" ] || rm -rf "$work"
}

# Writes a replacement of ssh for mpirun and mpiexec, and prints its path.
lab_rsh() { # directory for it
	cat >"$1/rsh" <<-TEXT
		#!/bin/bash
		while [[ \$1 == -* ]]; do
			case \$1 in -o | -p | -l) shift 2 ;; *) shift ;; esac
		done
		host=\$1
		shift
		case \$host in
		hd0 | 10.77.0.1) host=hd0 ;;
		hd1 | 10.77.0.2) host=hd1 ;;
		*) exit 255 ;;
		esac
		exec ip netns exec "$lab_prefix-\$host" unshare -u -- bash -c "hostname \$host; \$*"
	TEXT
	chmod +x "$1/rsh"
	echo "$1/rsh"
}

lab_slurm_conf() {
	cat <<-TEXT
		ClusterName=$lab_prefix
		SlurmctldHost=hdctl(10.77.0.254)
		SlurmUser=root
		AuthType=auth/munge
		AuthInfo=socket=$lab_slurm/munge.sock,cred_expire=15
		CryptoType=crypto/munge
		MpiDefault=none
		SlurmctldPidFile=$lab_slurm/slurmctld.pid
		SlurmdPidFile=$lab_slurm/slurmd-%n.pid
		SlurmdSpoolDir=$lab_slurm/spool-%n
		StateSaveLocation=$lab_slurm/state
		SlurmctldLogFile=$lab_slurm/slurmctld.log
		SlurmdLogFile=$lab_slurm/slurmd-%n.log
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		AccountingStorageType=accounting_storage/none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_Core
		SchedulerType=sched/backfill
		SchedulerParameters=nohold_on_prolog_fail
		Prolog=$lab_slurm/prolog
		Epilog=$lab_slurm/epilog
		TaskProlog=$lab_slurm/task_prolog
		SlurmdParameters=config_overrides
		ReturnToService=2
		KillWait=5
		SwitchType=switch/none
		PropagateResourceLimitsExcept=MEMLOCK
		NodeName=hd0 NodeAddr=10.77.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
		NodeName=hd1 NodeAddr=10.77.0.2 CPUs=8 RealMemory=1000 State=UNKNOWN
		PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP
	TEXT
}

# What a node must have, for the prolog.
lab_slurm_node() { # host, number of NICs
	printf 'WEFT_REQUIRE=provider=tcp,nics=%s\nexport WEFT_NICS=eth0\n' "$2" >"$lab_slurm/node-$1.conf"
}

# The scripts of contrib/slurm, with the weft-info of this build.
lab_slurm_scripts() {
	local name
	cp "$src"/contrib/slurm/{prolog,epilog,task_prolog} "$lab_slurm/weft"
	for name in prolog epilog task_prolog; do
		cat >"$lab_slurm/$name" <<-TEXT
			#!/bin/sh
			export PATH="$build/src:\$PATH" SLURM_CONF="$SLURM_CONF" WEFT_NODE_CONF="$lab_slurm/node-\$SLURMD_NODENAME.conf"
			exec "$lab_slurm/weft/$name"
		TEXT
		chmod +x "$lab_slurm/$name"
	done
	lab_slurm_node hd0 1
	lab_slurm_node hd1 1
}

# Prints the reason if Slurm cannot run here.
lab_slurm_missing() {
	local program
	for program in slurmctld slurmd srun sbatch munged; do
		command -v "$program" >/dev/null || { echo "needs $program"; return; }
	done
}

# Starts Slurm's daemons on the hosts; 0: both nodes are idle.
lab_slurm_up() {
	local host
	lab_slurm=$(mktemp -d)
	chmod 755 "$lab_slurm"
	mkdir "$lab_slurm/weft" "$lab_slurm/state" "$lab_slurm/spool-hd0" "$lab_slurm/spool-hd1"
	lab_slurm_conf >"$lab_slurm/slurm.conf"
	echo CgroupPlugin=cgroup/v1 >"$lab_slurm/cgroup.conf"
	export SLURM_CONF=$lab_slurm/slurm.conf
	lab_slurm_scripts
	head -c 1024 /dev/urandom >"$lab_slurm/munge.key"
	chmod 400 "$lab_slurm/munge.key"
	munged --force --foreground --socket="$lab_slurm/munge.sock" --key-file="$lab_slurm/munge.key" \
		--pid-file="$lab_slurm/munged.pid" --log-file="$lab_slurm/munged.log" \
		--seed-file="$lab_slurm/munged.seed" >"$lab_slurm/munged.out" 2>&1 &
	lab_slurm_pids+=($!)
	for _ in $(seq 100); do
		[ ! -S "$lab_slurm/munge.sock" ] || break
		sleep 0.1
	done
	on hdctl slurmctld -D -f "$SLURM_CONF" >"$lab_slurm/slurmctld.out" 2>&1 &
	lab_slurm_pids+=($!)
	for host in hd0 hd1; do
		on $host slurmd -D -N $host -f "$SLURM_CONF" >"$lab_slurm/slurmd-$host.out" 2>&1 &
		lab_slurm_pids+=($!)
	done
	for _ in $(seq 600); do
		[ "$(on hdctl sinfo -h -o '%D %t' 2>/dev/null)" != "2 idle" ] || return 0
		sleep 0.1
	done
	tail -n 5 "$lab_slurm"/*.out "$lab_slurm"/*.log >&2
	return 1
}
