# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion in bash of the options of Weft's programs. The rows are their --help's, by `make documents`:
# program|long name|short name|argument|its values
_weft_rows='
# options:begin
weft-info|--json|-j||
weft-info|--parameters-markdown|||
weft-info|--topology|||
weft-info|--from||FILE|FILE
weft-info|--nccl-topology|||
weft-info|--save-topology||FILE|FILE
weft-info|--placement|||
weft-info|--require||LIST|LIST provider= devices= nics= rails= speed= gdr libfabric= memlock hugepages=
weft-info|--root||DIR|DIR
weft-info|--what-if||LIST|
weft-info|--version|-V||
weft-info|--help|-h||
weft-top|--once|||
weft-top|--json|-j||
weft-top|--pid||PID|
weft-top|--watch||SECONDS|
weft-top|--events|||
weft-top|--trace||FILE|FILE
weft-top|--clean|||
weft-top|--version|-V||
weft-top|--help|-h||
weft-exporter|--listen||ADDRESS:PORT|
weft-exporter|--textfile||DIR|DIR
weft-exporter|--interval||SECONDS|
weft-exporter|--once|||
weft-exporter|--peers||K|
weft-exporter|--version|-V||
weft-exporter|--help|-h||
weft_net_perf|--minbytes|-b|SIZE|
weft_net_perf|--maxbytes|-e|SIZE|
weft_net_perf|--stepfactor|-f|N|
weft_net_perf|--iters|-n|N|
weft_net_perf|--warmup|-w|N|
weft_net_perf|--time-ms||MS|
weft_net_perf|--reps||N|
weft_net_perf|--fresh|||
weft_net_perf|--depth||N|
weft_net_perf|--pattern||LIST|latency bandwidth rate bidir birate all
weft_net_perf|--comms||N|
weft_net_perf|--threads||N|
weft_net_perf|--check|-c|0/1|0 1
weft_net_perf|--plugin||PATH|PATH
weft_net_perf|--abi||N|
weft_net_perf|--versus||PATH|PATH
weft_net_perf|--raw|||
weft_net_perf|--provider||NAME|
weft_net_perf|--raw-op||OP|tagged writedata best
weft_net_perf|--env-a||LIST|
weft_net_perf|--env-b||LIST|
weft_net_perf|--device||N|
weft_net_perf|--pin||CORES|off auto
weft_net_perf|--instructions|||
weft_net_perf|--pairs||N|
weft_net_perf|--workload||COMMS|
weft_net_perf|--seed||N|
weft_net_perf|--timeout||S|
weft_net_perf|--meet_timeout||S|
weft_net_perf|--json||FILE|FILE
weft_net_perf|--help|-h||
weft_net_perf|--version|||
weft-pair|--ranks||N|
weft-pair|--bytes|-b|SIZE|
weft-pair|--depth||N|
weft-pair|--comms||N|
weft-pair|--threads||N|
weft-pair|--time-ms||MS|
weft-pair|--reps||N|
weft-pair|--alone|||
weft-pair|--duplex|||
weft-pair|--rails|||
weft-pair|--roof|||
weft-pair|--least||RATIO|
weft-pair|--plugin||PATH|PATH
weft-pair|--abi||N|
weft-pair|--device||N|
weft-pair|--provider||NAME|
weft-pair|--timeout||S|
weft-pair|--meet_timeout||S|
weft-pair|--json||FILE|FILE
weft-pair|--csv||FILE|FILE
weft-pair|--svg||FILE|FILE
weft-pair|--help|-h||
weft-pair|--version|||
collective|--minbytes|-b|SIZE|
collective|--maxbytes|-e|SIZE|
collective|--stepbytes|-i|SIZE|
collective|--stepfactor|-f|N|
collective|--iters|-n|N|
collective|--agg_iters|-m|N|
collective|--warmup_iters|-w|N|
collective|--run_cycles|-N|N|
collective|--check|-c|N|
collective|--check_timed||0/1|0 1
collective|--op|-o|NAME|sum prod max min avg all
collective|--datatype|-d|NAME|int8 uint8 int32 uint32 int64 uint64 half float double bfloat16 all
collective|--root|-r|N|
collective|--average|-a|0-3|0 1 2 3
collective|--timeout|-T|SECONDS|
collective|--meet_timeout||SECONDS|
collective|--report_timestamps|-S|0/1|0 1
collective|--per_iter_timing|-I|0/1|0 1
collective|--per_iter_skip|-K|N|
collective|--unalign|-u|N|
collective|--output_file|-J|PATH|PATH
collective|--plot||FILE|FILE
collective|--observe||0/1|0 1
collective|--roof||0/1|0 1
collective|--ranks||N|
collective|--nthreads|-t|N|
collective|--ngpus|-g|N|
collective|--plugin||PATH|PATH
collective|--abi||N|
collective|--device||N|
collective|--channels||N|
collective|--chunk||SIZE|
collective|--engine||NAME|net nccl
collective|--parallel_init|-p|0/1|0 1
collective|--blocking|-z|0-3|0 1 2 3
collective|--stream_null|-y|0/1|0 1
collective|--cudagraph|-G|N|
collective|--report_cputime|-C|0/1|0 1
collective|--local_register|-R|0-2|0 1 2
collective|--cta_policy|-x|N|
collective|--device_implementation|-D|N|
collective|--device_cta_count|-V|N|
collective|--memory|-M|0/1|0 1
collective|--help|-h||
collective|--version|||
# options:end
'

# Its values, or the kind of them: FILE, PATH, DIR; LIST and words that a comma joins.
_weft_values() { # values, what is typed of it
	local cur=$2 done=
	case $1 in
	FILE | PATH)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	DIR)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		;;
	LIST*)
		[[ $cur != *,* ]] || done=${cur%,*},
		compopt -o nospace 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -P "$done" -W "${1#LIST }" -- "${cur##*,}")
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur") ;;
	esac
}

_weft() { # program, the word to complete, the word before
	local key=${1##*/} cur=$2 prev=$3 program long short arg values options="" i
	COMPREPLY=()
	case $key in
	weft-info | weft-top | weft-exporter | weft-pair | weft_net_perf) ;;
	*) key=collective ;;
	esac
	# bash splits --option=value and --require name=value,name into words at each `=`.
	if [ "$cur" = = ]; then
		cur=""
	elif [ "$prev" = = ]; then
		for ((i = COMP_CWORD - 2; i > 0; i--)); do
			prev=${COMP_WORDS[i]}
			[[ $prev != -* ]] || break
		done
		# The value of a requirement: its names are known, its values are not.
		[ $((i + 2)) -ge "$COMP_CWORD" ] || [[ $cur = *,* ]] || return
	fi
	while IFS='|' read -r program long short arg values; do
		[ "$program" = "$key" ] || continue
		options+=" $long"
		if [ -n "$arg" ] && { [ "$prev" = "$long" ] || [ "$prev" = "${short:-none}" ]; }; then
			_weft_values "$values" "$cur"
			return
		fi
	done <<<"$_weft_rows"
	[[ $cur != -* && -n $cur ]] || mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
}

complete -F _weft weft-info weft-top weft-exporter weft-pair weft_net_perf weft_all_reduce_perf \
	weft_all_gather_perf weft_reduce_scatter_perf weft_alltoall_perf weft_sendrecv_perf weft_broadcast_perf \
	weft_reduce_perf weft_gather_perf weft_scatter_perf weft_alltoallv_perf weft_hypercube_perf
