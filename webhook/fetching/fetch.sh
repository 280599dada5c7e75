# Downloads a model from S3 into a volume, checks it, and reports the outcome as the container's termination message.
#
#     /bin/sh -c SCRIPT model-fetch URI TARGET FILES,BYTES|- VERIFY SECONDS MODE PARTS [FLAG...]
#
# docs/fetch.md explains the arguments, the outcomes and the design.
#
# Pods carry the text that script.py makes of this file: without comments and indentation, and with the known errors.
# So every comment has a line of its own, and here-documents are not indented. Because kubelet expands $(NAME), every
# command substitution has a command with an argument.

# Names with * or ? must not become the names of files.
set -f
uri=$1
target=$2
expected=$3
verify=$4
limit=$5
mode=$6
parts=$7
shift 7
# The image has s5cmd in the root directory.
PATH=$PATH:/

started=$(date +%s)
# FILES,BYTES that are complete in the volume.
arrived=0,0
# Seconds to wait after the next failure.
pause=1
# The last failure: the outcome if the deadline passes.
reason=TimedOut
message=''
# Background processes, which the trap kills.
child=''
progress=''

# finish REASON MESSAGE: report the outcome and exit, with 0 only for Complete.
finish() {
	echo "$1: $2"
	seconds=$(($(date +%s) - started))
	# Only characters that need no escape in JSON, and not more than kubelet reads, which is 4096 bytes.
	printable=$(printf %s "$2" | tr -c ' !#-[]-~' '?' | cut -c-900)
	printf '{"reason":"%s","files":%s,"bytes":%s,"seconds":%s,"message":"%s"}\n' \
		"$1" "${arrived%,*}" "${arrived#*,}" "$seconds" "$printable" \
		>"${TERMINATION_LOG:-/dev/termination-log}"
	[ "$1" = Complete ]
	exit
}

# The shell handles SIGTERM during `wait`, but not while a command runs in the foreground.
in_background() {
	"$@" &
	child=$!
	wait "$child"
}

check_deadline() {
	remaining=$((started + limit - $(date +%s)))
	[ "$remaining" -gt 0 ] || finish "$reason" "$message"
}

# attempt COMMAND...: run it, with its output in the files `out` and `err`. After a failure that may be temporary, pause
# and return 1: the caller tries again. After any other failure, and at the deadline, finish.
attempt() {
	check_deadline
	# KILL, because s5cmd exits with 0 on SIGTERM.
	in_background timeout -sKILL "$remaining" "$@" >out 2>err && return
	classify
	[ "$reason" != Corrupt ] || discard_corrupt_files
	[ -z "$final" ] || finish "$reason" "$message"
	echo "$reason, retrying: $message"
	check_deadline
	in_background sleep $((pause < remaining ? pause : remaining))
	pause=$((pause < 9 ? pause * 2 : 15))
	return 1
}

# fatal REASON ADVICE: what failed would fail again. For the arms of `classify`.
# shellcheck disable=SC2329
fatal() {
	reason=$1
	advice=$2
	final=1
}

# Set `reason`, `message` and `final` from what a failed command printed.
classify() {
	reason=Unreachable
	advice=''
	final=''
	# Names of models and files may look like an error.
	printed=$(sed -E 's/^ERROR ".*": //; s/"[^"]*"//g; s|^([a-z]+) /.*: |\1 |' err)
	# s5cmd takes a page for a listing without objects, or for one that it cannot read.
	if grep -qsE '^Content-Type:.*(html|json|plain)' out; then
		case $printed in
		*'no object'* | *'code: 200'* | *'code: 3'*) printed='HTML page' ;;
		esac
	fi
	# If `timeout` has killed s5cmd, there may be no output.
	case ${printed:-Killed} in
	# script.py puts an arm for each entry of errors.toml here.
	esac
	message="${advice:+$advice. }$(tail -n1 err)"
}

# The lists of files must not be cut off.
check_room() {
	echo >full || finish OutOfSpace "no room for the lists of files in $work"
}

remove_files() {
	tr '\n' '\0' | xargs -0 rm -f
}

# Corrupt files have the right size, so the next container would keep them. SHA256SUMS itself may be the wrong file.
discard_corrupt_files() {
	message="$message $(grep FAILED out)"
	sed -n 's/: FAILED.*//p' out | remove_files
	rm -f "$target/SHA256SUMS"
}

# list_volume [FORMAT]: print the size and the path of every file in the volume, with two spaces between them. FORMAT is
# what stat prints before them.
list_volume() {
	find "$target" -type f -exec stat -c "$1%s  %n" {} +
}

# Set `arrived` without the bucket's listing. Files whose names end in a digit do not count: they may be torn downloads.
count_files() {
	arrived=$(list_volume | awk '!/[0-9]$/ { files++; bytes += $1 } END { printf "%d,%.0f", files, bytes }')
}

# Compare the volume with the bucket's listing in the file `list`. Set `arrived`, and `missing` to the name of one file
# that is not complete. Write to the files
#
# - `torn` the paths of torn downloads: s5cmd writes to NAME<digits>, and renames that to NAME at the end
# - `commands` how s5cmd downloads the missing files, or some of them, so that the file stays small
# - `renamed` the missing names that leave no room for ten digits, or in which s5cmd puts the digits in place of a `*`.
#   The commands write to short names, which end in a digit as those of torn downloads. They stand before a slash
compare() {
	list_volume | awk -v folder="$target/" -v work="${work##*/}" -v copy="cp --raw -c $parts \"${uri%\*}\"" '
		{
			bytes = $1
			sub(/^[0-9]+  /, "")
		}
		FILENAME != "-" {
			missing[$0] = bytes
			next
		}
		{
			name = substr($0, length(folder) + 1)
		}
		name in missing && missing[name] == bytes {
			files++
			total += bytes
			delete missing[name]
			next
		}
		{
			while (sub(/[0-9]$/, "", name))
				if (name in missing || name ~ /^model-fetch\.......\.$/)
					print >"torn"
		}
		END {
			for (name in missing) {
				last = name
				gsub(/\047/, "\047\"\047\"\047", name)
				path = folder name
				if (match(last, "[^/]*$") && RLENGTH > 245 || last ~ /[*]/) {
					short = work "." (++long) "0"
					path = folder short
					print short "/" last >"renamed"
				} else if (++others > 9999)
					continue
				print copy "\047" name "\047 \047" path "\047" >"commands"
			}
			printf "%d,%.0f %s\n", files, total, last
		}' list - >out
	read -r arrived missing <out
	check_room
}

# The SDK in s5cmd refuses the address of the EKS Pod Identity agent, but it can run a command that asks the agent.
use_pod_identity() {
	export AWS_CONFIG_FILE=config
	cat >config <<'END'
[default]
credential_process=http_proxy= wget -qO- --header "Authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)" $AWS_CONTAINER_CREDENTIALS_FULL_URI | sed 's/"Token"/"Version":1,"SessionToken"/'
END
}

trust_authority() {
	export AWS_CA_BUNDLE=authorities
	{
		cat /etc/ssl/cert.pem
		echo "$FETCH_CA_BUNDLE"
	} >authorities
}

# s3_clock FILE: print the first Date header in a trace of s5cmd, as YYYYMMDDhhmmss.
s3_clock() {
	awk '/^Date:/ {
		month = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $4) + 2) / 3
		gsub(":", "", $6)
		printf "%s%02d%s%s", $5, month, $3, $6
		exit
	}' "$1"
}

# list_bucket FLAG...: write the size and the name of every object to the file `list`. Set `listed` to FILES,BYTES.
list_bucket() {
	s3_time=''
	# s5cmd skips objects that are newer than the node's clock. So a listing counts only if that clock was not behind S3's.
	while true; do
		node_time=$(date -u +%Y%m%d%H%M%S)
		until attempt s5cmd --log trace "$@" ls "$uri"; do
			:
		done
		[ "$s3_time" ] || s3_time=$(s3_clock out)
		[ "$node_time" -lt "$s3_time" ] || break
		in_background sleep 1
	done
	sed -nE 's|^[0-9/]{10} .{8} +([0-9]+  )|\1|p' out >list
	! grep -qE '(  |/)\.\.(/|$)' out || finish Corrupt "a key has .."
	listed=$(awk '{ bytes += $1 } END { printf "%d,%.0f", NR, bytes }' list)
	check_room
	[ -s list ] || finish NotFound "no files"
	[ "$expected" = - ] || [ "$expected" = "$listed" ] || finish Incomplete "S3 has files,bytes $listed, not $expected"
}

# Print a line about the download each 10 seconds. docs/fetch.md has its format.
report() {
	now=${arrived#*,}
	# `sleep` outlives the script, so it must not hold the log open.
	while sleep 10 >&- 2>&-; do
		# Files may be renamed before stat sees them. Parts of a torn download arrive in any order, and it has holes.
		line=$(list_volume '%b ' 2>/dev/null | awk -v before="$now" -v total="${listed#*,}" '
			{
				bytes += /[0-9]$/ && $1 * 512 < $2 ? $1 * 512 : $2
			}
			END {
				if (bytes > before)
					speed = (bytes - before) / 10
				printf "%.0f of %.0f bytes, %.0f bytes/s", bytes, total, speed
				if (speed && bytes < total)
					printf ", %.0f s left", (total - bytes) / speed
			}')
		echo "progress: $line"
		now=${line%% *}
	done
}

# download S5CMD...: download the files that are missing.
download() {
	remove_files <torn
	echo "$uri: $arrived of $listed here"
	report &
	progress=$!
	before=-1
	# Exit if the number of objects is not known.
	while [ "$arrived" != "${listed:?}" ]; do
		[ "${arrived%,*}" -gt "$before" ] || finish Incomplete "$arrived of $listed came, not $missing"
		before=${arrived%,*}
		# A pattern costs one request for each file, and commands two. But a pattern also downloads what is complete.
		if [ "$arrived" = 0,0 ] && [ ! -s renamed ]; then
			attempt "$@" cp -c "$parts" "$uri" "$target/"
		else
			attempt "$@" run commands
		fi || before=-1
		while IFS=/ read -r short name; do
			path=$target/$name
			mkdir -p "${path%/*}"
			[ ! -e "$target/$short" ] || mv "$target/$short" "$path"
		done <renamed
		compare
	done
}

# Compare every file with SHA256SUMS. A file that SHA256SUMS does not name gets a digest that never matches. A line that
# starts with \ has a name in which \ is written twice. Files written on Windows have capitals, and \r at the line's end.
check_digests() {
	[ -f "$target/SHA256SUMS" ] || finish Corrupt "no SHA256SUMS"
	awk -v folder="$target/" '
		FILENAME == "list" {
			sub(/^[0-9]+  /, "")
			digests[$0] = sprintf("%064d", 0)
			next
		}
		sub(/^\\/, "") {
			gsub(/\\\\/, "\\")
		}
		{
			name = substr($0, 67)
			sub(/^\.\//, "", name)
			if (!(name in digests))
				sub(/\r$/, "", name)
		}
		name in digests {
			digests[name] = tolower(substr($0, 1, 64))
		}
		END {
			for (name in digests)
				if (name !~ /^(manifest.json|SHA256SUMS)$/)
					print digests[name] "  " folder name
		}' list "$target/SHA256SUMS" >sums
	check_room
	until attempt sha256sum -c sums; do
		:
	done
}

# Temporary files are in memory, if there is enough for the lists of files; else in the volume.
room=$(df -kP /dev/shm | awk 'END { print int($4) }')
files=${expected%%[,-]*}
mkdir -p "$target"
{ [ "$room" -gt $((4096 + files / 2)) ] && work=$(mktemp -d -p /dev/shm model-fetch.XXXXXX); } ||
	work=$(mktemp -d -p "${target%/*}" model-fetch.XXXXXX)
trap 'rm -rf "$work"; kill $child $progress 2>/dev/null' EXIT
trap 'exit 143' TERM INT
{ [ -d "$target" ] && [ "$work" ] && cd "$work" && touch list torn renamed; } || finish Incomplete "cannot write"

count_files
if [ "$arrived" = "$expected" ] && [ "$verify" = size ]; then
	finish Complete "$target"
fi
[ -z "$AWS_CONTAINER_CREDENTIALS_FULL_URI" ] || use_pod_identity
[ -z "$FETCH_CA_BUNDLE" ] || trust_authority
list_bucket "$@"
compare
download s5cmd --log error "$@"
[ "$verify" != sha256 ] || check_digests
chmod -R "$mode" "$target"
finish Complete "$target"
