# docs/fetch.md
set -f
uri=$1 dest=$2 want=$3 verify=$4 limit=$5 mode=$6 parts=$7 PATH=$PATH:/
shift 7
start=$(date +%s) n=0,0 nap=1 reason=TimedOut due='' pid='' tick='' s=''

end() {
	echo "$1: $2"
	printf '{"reason":"%s","files":%s,"bytes":%s,"seconds":%s,"message":"%s"}\n' "$1" "${n%,*}" "${n#*,}" \
		$(($(date +%s) - start)) "$(printf %s "$2" | tr -c ' !#-[]-~' '?' | cut -c-900)" \
		>"${TERMINATION_LOG:-/dev/termination-log}"
	[ "$1" = Complete ]
	exit
}
bg() {
	"$@" &
	pid=$!
	wait $pid
}
left() {
	t=$((start + limit - $(date +%s)))
	[ $t -gt 0 ] || end $reason "$text"
}
run() {
	left
	bg timeout -sKILL $t "$@" >out 2>err && return
	text=$(tail -n1 err) reason=Unreachable
	case $(sed 's/"[^"]*"//g' err) in
	*'no space'* | *quota*) end OutOfSpace "raise size-limit. $text" ;;
	*NoCred* | *ProcessP* | *Expired* | *'to read file'*) reason=Unauthorized ;;
	*'no object'* | *NoSuch* | *Region* | *Malformed*) end NotFound "check model, version, source, region. $text" ;;
	*'NOT m'*)
		sed -n 's/: FAILED.*//p' out | drop
		rm -f "$dest/SHA256SUMS"
		end Corrupt "not as SHA256SUMS: $(grep FAILED out)"
		;;
	*rename*) ;;
	*' denied'* | *read-only* | *' directory'* | *exists* | *Glacier* | *ObjectSt*) end Incomplete "restore or permit. $text" ;;
	*'code: 40'[13]* | *AccessDenied*) end Unauthorized "allow s3:ListBucket, s3:GetObject. $text" ;;
	'' | *illed*) reason=TimedOut text='raise timeout' ;;
	esac
	echo "$reason, retrying: $text"
	left
	bg sleep $((nap < t ? nap : t))
	! nap=$((nap < 9 ? nap * 2 : 15))
}
drop() { tr '\n' '\0' | xargs -0 rm -f; }
tally() {
	find "$dest" -type f -exec stat -c '%s  %n' {} + | awk -v d="$dest/" -v any="$1" '
	{s = $1; sub(/^[0-9]+  /, "")}
	FILENAME != "-" {want[$0] = s; next}
	{k = substr($0, length(d) + 1)}
	any ? !/[0-9]$/ : k in want && want[k] == s {n++; b += s; delete want[k]; next}
	{while (sub(/[0-9]$/, "", k)) if (k in want) print >"left"}
	END {printf "%d,%.0f ", n, b; for (k in want) {print k; exit}}' list - >out
	read -r n miss <out
}

w=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$w"; kill $pid $tick 2>/dev/null' EXIT
trap 'exit 143' TERM INT
{ cd "$w" && touch list left && mkdir -p "$dest"; } || end Incomplete "cannot write"
tally any
[ "$n$verify" != "${want}size" ] || end Complete "$dest"

if [ "$AWS_CONTAINER_CREDENTIALS_FULL_URI" ]; then
	export AWS_CONFIG_FILE=config
	cat >config <<'E'
[default]
credential_process=http_proxy= wget -qO- --header "Authorization: $(cat $AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)" $AWS_CONTAINER_CREDENTIALS_FULL_URI | sed 's/"Token"/"Version":1,"SessionToken"/'
E
fi
if [ "$FETCH_CA_BUNDLE" ]; then
	export AWS_CA_BUNDLE=ca
	{ cat /etc/ssl/cert.pem; echo "$FETCH_CA_BUNDLE"; } >ca
fi
while
	d=$(date -u +%Y%m%d%H%M%S)
	until run s5cmd --log trace "$@" ls "$uri"; do :; done
	: "${due:=$(awk '/^Date:/ {gsub(":", "", $6); printf "%s%02d%s%s", $5,
		(index("JanFebMarAprMayJunJulAugSepOctNovDec", $4) + 2) / 3, $3, $6; exit}' out)}"
	[ "$d" -lt "$due" ]
do bg sleep 1; done
sed -nE 's|^[0-9/]{10} .{8} +([0-9]+  )|\1|p' out >list
! grep -qE '(  |/)\.\.(/|$)' out || end Corrupt "a key has .."
total=$(awk '{b += $1} END {printf "%d,%.0f", NR, b}' list)
[ -s list ] || end NotFound "none older"
[ "$want" = - ] || [ "$want" = "$total" ] || end Incomplete "S3 has files,bytes $total, not $want"
tally
if [ "$n" != "${total:?}" ]; then
	drop <left
	echo "$uri: $n of $total here"
	while sleep 10 >&- 2>&-; do du -sk "$dest"; done &
	tick=$!
	[ "$n" = 0,0 ] || s=1
	until run s5cmd "$@" cp ${s:+-s} -c "$parts" "$uri" "$dest/"; do s=1; done
	tally
	[ "$n" = "$total" ] || end Incomplete "$n of $total came, not $miss"
fi
if [ "$verify" = sha256 ]; then
	[ -f "$dest/SHA256SUMS" ] || end Corrupt "no SHA256SUMS"
	awk -v d="$dest/" 'FILENAME == "list" {sub(/^[0-9]+  /, ""); w[$0] = sprintf("%064d", 0); next}
	{k = substr($0, 67); sub(/^\.\//, "", k)} k in w {w[k] = substr($0, 1, 64)}
	END {for (k in w) if (k !~ /^(manifest.json|SHA256SUMS)$/) print w[k] "  " d k}' list "$dest/SHA256SUMS" >sums
	until run sha256sum -c sums; do :; done
fi
chmod -R "$mode" "$dest"
end Complete "$dest"
