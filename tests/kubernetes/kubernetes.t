#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# contrib/kubernetes without a cluster: the manifests by check.py and by the models of Kubernetes' Python client (models.py),
# both tested with faults; and ranks that find each other as the pods of an Indexed Job and of a JobSet, by JOB_COMPLETION_INDEX and their host names, on loopback.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
manifests=${TEST_SRCDIR:?}/contrib/kubernetes
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

checker=check.py
# The fault that the checker must find in a manifest that an expression of sed has changed.
finds() { # manifest, expression, part of the fault
	local said
	sed "$2" "$manifests/$1" >"$tmp/$1"
	cmp -s "$manifests/$1" "$tmp/$1" && { echo "$2 changes nothing in $1"; return; }
	said=$(/usr/bin/python3 "$here/$checker" "$tmp/$1" 2>&1) && { echo "$2 in $1 is not found"; return; }
	grep -qF -- "$3" <<<"$said" || echo "$2 in $1: $said"
}

faults() {
	finds indexed-job.yaml '/never run on a cluster/d' "never run"
	finds indexed-job.yaml 's/^  completions: 2/  completions: 3/' "are not one number"
	finds indexed-job.yaml 's/subdomain: weft-test/subdomain: other/' "no headless service"
	finds indexed-job.yaml 's/mountPath: .dev.shm/mountPath: dev/' "no absolute path"
	finds indexed-job.yaml 's/- {name: hugepages, mountPath/- {name: pages, mountPath/' "has no volume"
	finds indexed-job.yaml 's/value: "2"/value: 2/' "is not text"
	finds indexed-job.yaml '/FallbackToLogsOnError/d' "reason is not shown"
	finds indexed-job.yaml 's/nics=32/nics=16/' "requires 16 NICs"
	finds indexed-job.yaml 's/limits: \*amounts/limits: {cpu: 8, memory: 32Gi, vpc.amazonaws.com\/efa: 32, nvidia.com\/gpu: 8, hugepages-2Mi: 1Gi}/' "is not its limit"
	finds indexed-job.yaml 's/32Gi/32GiB/' "is not an amount"
	finds indexed-job.yaml 's/restartPolicy: Never/restartPolicy: Always/' "restartPolicy"
	finds indexed-job.yaml 's/^  backoffLimit: 0/  backofLimit: 0/' "is unknown"
	finds indexed-job.yaml 's/^  parallelism: 2/  completions: 2/' "is there twice"
	finds jobset.yaml 's/^          parallelism: 2/          parallelism: 1/' "are not one number"
	finds jobset.yaml 's/^      initContainers/      initContainer/; s/^              initContainers/              initContainer/' "is unknown"
	finds mpijob.yaml 's/    Worker:/    Workers:/' "no spec.mpiReplicaSpecs.Worker"
	finds mpijob.yaml 's/kubeflow.org\/v2beta1/kubeflow.org\/v2/' "is unknown"
	finds pytorchjob.yaml 's/--require/--json/' "without a health check"
	finds exporter.yaml 's/port: metrics/port: http/' "no pod has the port"
	finds exporter.yaml 's/^      app.kubernetes.io.name: weft-exporter/      app.kubernetes.io\/name: weft/' "finds no pod"
}

if ! /usr/bin/python3 -c 'import yaml' 2>/dev/null; then
	skip "the manifests" "python3-yaml is not installed"
else
	none "the manifests have no fault" "$(/usr/bin/python3 "$here/check.py" "$manifests"/*.yaml 2>&1)"
	none "faults in a manifest are found" "$(faults)"
fi

model_faults() {
	finds indexed-job.yaml 's/terminationMessagePolicy/terminationMesagePolicy/' "has no field terminationMesagePolicy"
	finds indexed-job.yaml 's/^  backoffLimit: 0/  backoffLimit: none/' "is no int"
	finds jobset.yaml 's/^          parallelism: 2/          paralelism: 2/' "has no field paralelism"
	finds mpijob.yaml 's/mountPath: .dev.shm/mountpath: \/dev\/shm/' "must not be"
	finds exporter.yaml 's/containerPort: [0-9]*/containerPort: {}/' "is no int"
}

checker=models.py
if ! /usr/bin/python3 -c 'import kubernetes, yaml' 2>/dev/null; then
	skip "the models of Kubernetes" "python3-kubernetes is not installed"
else
	none "the manifests fit the models of Kubernetes" "$(/usr/bin/python3 "$here/models.py" "$manifests"/*.yaml 2>&1)"
	none "faults against the models are found" "$(model_faults)"
fi

# Both ranks as pods of one name, in a name space whose /etc/hosts is that of such pods.
pods() { # base of the names, rest of the full names
	local i
	{
		echo "127.0.0.1 localhost"
		for i in 0 1; do
			echo "127.0.0.1 $1-$i.$2 $1-$i"
		done
	} >"$tmp/hosts"
	# shellcheck disable=SC2016
	unshare --mount sh -c 'mount --bind "$1/hosts" /etc/hosts || exit 77
		export WORLD_SIZE=2
		JOB_COMPLETION_INDEX=1 HOSTNAME=$2-1 benchmarks/all_reduce_perf -b 8 -e 64K -f 8 -n 2 -w 1 >"$1/one" 2>&1 &
		JOB_COMPLETION_INDEX=0 HOSTNAME=$2-0 benchmarks/all_reduce_perf -b 8 -e 64K -f 8 -n 2 -w 1 >"$1/zero" 2>&1
		status=$?
		wait $! && exit $status' sh "$tmp" "$1" || { echo "exit status $?"; cat "$tmp/zero" "$tmp/one"; return; }
	grep -q '^# Out of bounds values : 0 OK' "$tmp/zero" || cat "$tmp/zero"
}

unset MASTER_ADDR MASTER_PORT RANK LOCAL_RANK
if ! unshare --mount true 2>/dev/null; then
	skip "ranks of an Indexed Job and a JobSet" "needs root"
elif [ ! -e /etc/hosts ]; then
	skip "ranks of an Indexed Job and a JobSet" "needs a /etc/hosts, which it hides behind its own"
else
	none "the pods of an Indexed Job find each other" "$(pods weft-test weft-test.default.svc.cluster.local)"
	none "the pods of a JobSet find each other" "$(pods weft-test-workers-0 weft-test.default.svc.cluster.local)"
fi
tap_done
