# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Carries out a Dockerfile without a container engine, in copies of a bare system; for root. Instructions and options that
# it does not know are errors, so that no step of the file goes untested. Source it after chroot.bash.
#
# A stage is a directory with these files beside it: STAGE.env (assignments, each ended by a null byte), STAGE.dir,
# STAGE.user, STAGE.cmd and STAGE.entrypoint (words, each ended by a null byte), STAGE.labels.

# Ends the build, also from a function whose output goes elsewhere.
image_fail() {
	echo "$image_file:$image_line: $*" >&3
	exit 1
}

# The file's instructions, one a line, behind the number of their first line. Continued lines are joined.
image_instructions() {
	awk '{
		if (/^[ \t]*#/ || (!joined && /^[ \t]*$/)) next
		if (!joined) { first = NR; text = "" }
		joined = sub(/\\[ \t]*$/, "")
		text = text $0
		if (!joined) print first, text
	}
	END { if (joined) exit 1 }' "$1"
}

# The array words: those of a text as the stage's shell sees them. Quotes are removed, variables of stage and arguments
# are replaced.
image_words() { # text
	local -a known=()
	[ -z "$image_stage" ] || mapfile -d '' -t known <"$image_dir/$image_stage.env"
	# shellcheck disable=SC2016
	env -i "${image_args[@]}" "${known[@]}" bash -uc 'eval "set -- $1"; printf "%s\\0" "$@"' bash "$1" >"$image_dir/words" ||
		image_fail "can't expand: $1"
	mapfile -d '' -t words <"$image_dir/words"
}

# ["a", "b"], the only form of ENTRYPOINT and CMD here, as null-ended words.
image_json() {
	[[ $1 =~ ^\[(\ *\"[^\"\\]*\"\ *,?)+\]$ ]] || image_fail "not a list of strings: $1"
	grep -o '"[^"]*"' <<<"$1" | sed 's/^"//; s/"$//' | tr '\n' '\0'
}

image_from() { # base or stage, [AS name]
	local -a words
	image_stage=''
	image_words "$1"
	[[ ${#words[@]} = 3 && ${words[1],,} = as ]] || image_fail "FROM image AS name is expected"
	image_stage=${words[2]}
	if [ -d "$image_dir/${words[0]}" ]; then
		cp -a "$image_dir/${words[0]}" "$image_dir/$image_stage"
		cp "$image_dir/${words[0]}.env" "$image_dir/$image_stage.env"
	elif [ "${words[0]}" = "debian:$(chroot_suite)-slim" ]; then
		cp -a "$image_base" "$image_dir/$image_stage"
		printf '%s\0' PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin >"$image_dir/$image_stage.env"
	else
		image_fail "no image ${words[0]}: this system is $(chroot_suite)"
	fi
	echo / >"$image_dir/$image_stage.dir"
	echo 0:0 >"$image_dir/$image_stage.user"
	: >"$image_dir/$image_stage.cmd"
	: >"$image_dir/$image_stage.entrypoint"
	: >"$image_dir/$image_stage.labels"
	image_args=("${image_global_args[@]}")
}

image_arg() { # NAME=default
	[[ $1 =~ ^[A-Z_]+=.*$ ]] || image_fail "ARG NAME=default is expected"
	image_args+=("$1")
	[ -n "$image_stage" ] || image_global_args+=("$1")
}

image_assign() { # ENV or LABEL, text
	local -a words
	local word
	image_words "$2"
	[ ${#words[@]} -gt 0 ] || image_fail "$1 without a value"
	for word in "${words[@]}"; do
		[[ $word == ?*=* ]] || image_fail "$1 NAME=value is expected, not $word"
	done
	if [ "$1" = ENV ]; then
		printf '%s\0' "${words[@]}" >>"$image_dir/$image_stage.env"
	else
		printf '%s\n' "${words[@]}" >>"$image_dir/$image_stage.labels"
	fi
}

# A path in the stage, seen from outside.
image_path() { # path
	if [[ $1 == /* ]]; then
		echo "$image_dir/$image_stage$1"
	else
		echo "$image_dir/$image_stage$(<"$image_dir/$image_stage.dir")/$1"
	fi
}

image_copy() { # [--from=stage] source... target
	local -a words
	local from=$image_context target source
	image_words "$1"
	while [[ ${words[0]} == --* ]]; do
		[[ ${words[0]} == --from=* ]] || image_fail "COPY ${words[0]} is unknown"
		from=$image_dir/${words[0]#--from=}
		[ -d "$from" ] || image_fail "no stage ${words[0]#--from=}"
		words=("${words[@]:1}")
	done
	[ ${#words[@]} -ge 2 ] || image_fail "COPY source target is expected"
	target=$(image_path "${words[-1]}")
	unset 'words[-1]'
	for source in "${words[@]}"; do
		if [ -d "$from/$source" ]; then
			mkdir -p "$target"
			cp -a "$from/$source/." "$target" || image_fail "can't copy $source"
		else
			[[ $target != */ ]] || mkdir -p "$target"
			mkdir -p "$(dirname "$target")"
			cp -a "$from/$source" "$target" 2>/dev/null || image_fail "can't copy $source"
		fi
	done
}

# Runs a command in the stage as an engine would: its environment, directory and user.
image_exec() { # stage, command...
	local stage=$1 user
	local -a environment
	shift
	mapfile -d '' -t environment <"$image_dir/$stage.env"
	user=$(<"$image_dir/$stage.user")
	# shellcheck disable=SC2016
	chroot_run "$image_dir/$stage" "${environment[@]}" "${image_extra[@]}" -- "--userspec=$user" -- \
		sh -c 'cd "$1" && shift && exec "$@"' sh "$(<"$image_dir/$stage.dir")" "$@"
}

image_run() { # text
	[[ $1 != --* && $1 != \[* ]] || image_fail "RUN with options, or as a list, is unknown"
	image_extra=("${image_args[@]}") image_exec "$image_stage" sh -c "$1" >"$image_dir/log" 2>&1 ||
		image_fail "exit status $?: $1"$'\n'"$(tail -n 20 "$image_dir/log")"
}

image_step() { # instruction, rest
	[ -n "$image_stage" ] || [ "$1" = FROM ] || [ "$1" = ARG ] || image_fail "$1 before FROM"
	case $1 in
	FROM) image_from "$2" ;;
	ARG) image_arg "$2" ;;
	ENV | LABEL) image_assign "$1" "$2" ;;
	WORKDIR)
		[[ $2 == /* ]] || image_fail "WORKDIR of an absolute path is expected"
		mkdir -p "$(image_path "$2")"
		echo "$2" >"$image_dir/$image_stage.dir"
		;;
	COPY) image_copy "$2" ;;
	RUN) image_run "$2" ;;
	USER)
		[[ $2 =~ ^[0-9]+:[0-9]+$ ]] || image_fail "USER by numbers is expected"
		echo "$2" >"$image_dir/$image_stage.user"
		;;
	CMD | ENTRYPOINT) image_json "$2" >"$image_dir/$image_stage.${1,,}" ;;
	*) image_fail "the instruction $1 is unknown" ;;
	esac
}

# Builds all stages of a Dockerfile in a directory. Says what went wrong, or nothing.
image_build() { # Dockerfile, context, directory for the stages, bare system
	(
		exec 3>&1
		image_file=$1 image_dir=$3 image_base=$4 image_stage='' image_line=0
		image_args=() image_global_args=() image_extra=()
		mkdir -p "$image_dir/context"
		image_context=$image_dir/context
		tar -C "$2" --anchored -X <(sed '/^#/d; s,^,./,' "$1.dockerignore") -cf - . | tar -C "$image_context" -xf -
		instructions=$(image_instructions "$1") || image_fail "the last line is continued"
		while read -r image_line instruction rest; do
			image_step "$instruction" "$rest"
		done <<<"$instructions"
		rm -rf "$image_context"
	)
}

# Runs the image: its entrypoint and this command, or else its own.
image_start() { # directory of the stages, stage, assignments... -- [command...]
	local image_dir=$1 stage=$2
	local -a image_extra=() command
	shift 2
	while [ "$1" != -- ]; do
		image_extra+=("$1")
		shift
	done
	shift
	mapfile -d '' -t command <"$image_dir/$stage.entrypoint"
	if [ $# -gt 0 ]; then
		command+=("$@")
	else
		local -a own
		mapfile -d '' -t own <"$image_dir/$stage.cmd"
		command+=("${own[@]}")
	fi
	image_exec "$stage" "${command[@]}"
}
