# Downloads a model from S3 into a volume, checks it, and reports the outcome as the container's termination message.
#
#     /bin/sh -c SCRIPT model-fetch URI DESTINATION FILES,BYTES|- VERIFY SECONDS MODE PARTS [FLAG...]
#
# docs/fetch.md explains the arguments, the outcomes and the design.
#
# Pods carry the text that script.py makes of this file: without comments and indentation, and with the known errors.
# So every comment has a line of its own, and here-documents are not indented. Because kubelet expands $(NAME), every
# command substitution has a command with an argument.

# Names with * or ? must not become the names of files.
set -f
uri=$1
destination=$2
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
run_in_background() {
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
	run_in_background timeout -sKILL "$remaining" "$@" >out 2>err && return
	classify
	if [ "$reason" = Corrupt ]; then
		discard_corrupt_files
	fi
	if [ "$final" ]; then
		finish "$reason" "$message"
	fi
	echo "$reason, retrying: $message"
	check_deadline
	run_in_background sleep $((pause < remaining ? pause : remaining))
	pause=$((pause < 9 ? pause * 2 : 15))
	return 1
}

# Set `reason`, `message` and `final` from what a failed command printed.
classify() {
	error=$(tail -n1 err)
	reason=Unreachable
	message=$error
	final=''
	# Names of models and files may look like an error.
	printed=$(sed -E 's/^ERROR ".*": //; s/"[^"]*"//g; s|^([a-z]+) /.*: |\1 |' err)
	# s5cmd takes a login page for a listing without objects, or for one that it cannot read.
	if grep -qsE '^Content-Type:.*(html|json)' out; then
		case $printed in
		*'no object'* | *'code: 200'* | *'code: 3'*) printed='HTML page' ;;
		esac
	fi
	# If `timeout` has killed s5cmd, there may be no output.
	case ${printed:-Killed} in
	# script.py puts an arm for each entry of errors.toml here.
	esac
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
	rm -f "$destination/SHA256SUMS"
}

# Print the size and the path of every file in the volume, with two spaces between them.
list_volume() {
	find "$destination" -type f -exec stat -c '%s  %n' {} +
}

# Set `arrived` without the bucket's listing. Files whose names end in a digit do not count: they may be torn downloads.
count_files() {
	arrived=$(list_volume | awk '!/[0-9]$/ { files++; bytes += $1 } END { printf "%d,%.0f", files, bytes }')
}

# Compare the volume with the bucket's listing in the file `list`. Set `arrived`, and set `missing` to the name of one
# file that is not complete. Write the paths of torn downloads to the file `torn`: s5cmd writes to NAME<digits>, and
# renames that to NAME at the end. Write missing names that leave no room for ten digits to the file `long`.
compare_with_listing() {
	list_volume | awk -v folder="$destination/" '
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
		name ~ /^model-fetch\.......[0-9]+$/ {
			print >"torn"
		}
		{
			while (sub(/[0-9]$/, "", name))
				if (name in missing)
					print >"torn"
		}
		END {
			for (name in missing) {
				last = name
				sub(/.*\//, "", name)
				if (length(name) > 245)
					print last >"long"
			}
			printf "%d,%.0f %s\n", files, total, last
		}' list - >out
	read -r arrived missing <out
}

# The SDK in s5cmd refuses the address of the EKS Pod Identity agent, but it can run a command that asks the agent.
use_pod_identity() {
	export AWS_CONFIG_FILE=config
	cat >config <<'END'
[default]
credential_process=http_proxy= wget -qO- --header "Authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)" $AWS_CONTAINER_CREDENTIALS_FULL_URI | sed 's/"Token"/"Version":1,"SessionToken"/'
END
}

trust_private_authority() {
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
		run_in_background sleep 1
	done
	sed -nE 's|^[0-9/]{10} .{8} +([0-9]+  )|\1|p' out >list
	if grep -qE '(  |/)\.\.(/|$)' out; then
		finish Corrupt "a key has .."
	fi
	listed=$(awk '{ bytes += $1 } END { printf "%d,%.0f", NR, bytes }' list)
	check_room
	[ -s list ] || finish NotFound "none older"
	if [ "$expected" != - ] && [ "$expected" != "$listed" ]; then
		finish Incomplete "S3 has files,bytes $listed, not $expected"
	fi
}

# Print the size of the volume from time to time. `sleep` outlives the script, so it must not hold the log open.
report_progress() {
	while sleep 10 >&- 2>&-; do
		du -sk "$destination"
	done
}

# download_long_name FLAG...: download the file `name` under a short name, which ends in a digit as those of all torn
# downloads, and rename it.
download_long_name() {
	short=$destination/${work##*/}0
	until attempt s5cmd --log error "$@" cp --raw -c "$parts" "${uri%\*}$name" "$short"; do
		:
	done
	path=$destination/$name
	{ mkdir -p "${path%/*}" && mv "$short" "$path"; } || finish Incomplete "cannot write $name"
}

# download FLAG...: download the files that are missing.
download() {
	remove_files <torn
	echo "$uri: $arrived of $listed here"
	report_progress &
	progress=$!
	while IFS= read -r name; do
		download_long_name "$@"
	done <long
	# s5cmd splits a pattern at commas, and trims it.
	set -- s5cmd --log error "$@" cp -c "$parts"
	while IFS= read -r name; do
		set -- "$@" --exclude "$(printf %s "$name" | tr ', ' '??')"
	done <long
	# -s skips files that are complete, but asks S3 about each object first. An empty volume does not need it.
	skip=''
	[ "$arrived" = 0,0 ] || skip=-s
	until attempt "$@" $skip "$uri" "$destination/"; do
		skip=-s
	done
	compare_with_listing
	[ "$arrived" = "$listed" ] || finish Incomplete "$arrived of $listed came, not $missing"
}

# Compare every file with SHA256SUMS. A file that SHA256SUMS does not name gets a digest that never matches. A line that
# starts with \ has a name in which \ is written twice.
check_digests() {
	[ -f "$destination/SHA256SUMS" ] || finish Corrupt "no SHA256SUMS"
	awk -v folder="$destination/" '
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
		}
		name in digests {
			digests[name] = substr($0, 1, 64)
		}
		END {
			for (name in digests)
				if (name !~ /^(manifest.json|SHA256SUMS)$/)
					print digests[name] "  " folder name
		}' list "$destination/SHA256SUMS" >sums
	check_room
	until attempt sha256sum -c sums; do
		:
	done
}

# Temporary files are in memory, if there is enough for the lists of files; else in the volume.
room=$(df -kP /dev/shm | awk 'END { print int($4) }')
files=${expected%%[,-]*}
mkdir -p "$destination"
{ [ "$room" -gt $((4096 + files / 2)) ] && work=$(mktemp -d -p /dev/shm model-fetch.XXXXXX); } ||
	work=$(mktemp -d -p "${destination%/*}" model-fetch.XXXXXX)
trap 'rm -rf "$work"; kill $child $progress 2>/dev/null' EXIT
trap 'exit 143' TERM INT
{ [ -d "$destination" ] && [ "$work" ] && cd "$work" && touch list torn long; } || finish Incomplete "cannot write"

count_files
if [ "$arrived" = "$expected" ] && [ "$verify" = size ]; then
	finish Complete "$destination"
fi
if [ "$AWS_CONTAINER_CREDENTIALS_FULL_URI" ]; then
	use_pod_identity
fi
if [ "$FETCH_CA_BUNDLE" ]; then
	trust_private_authority
fi
list_bucket "$@"
compare_with_listing
# Exit if the number of objects is not known.
if [ "$arrived" != "${listed:?}" ]; then
	download "$@"
fi
if [ "$verify" = sha256 ]; then
	check_digests
fi
chmod -R "$mode" "$destination"
finish Complete "$destination"
