# check FOLDER DIGEST: compare the files with SHA256SUMS, and the manifest with its sha256. DIGEST is empty if the
# catalog does not know it.
check() {
  cd "$1"
  if [ -n "$2" ]; then
    echo "$2  manifest.json" | sha256sum --check --quiet
    while read -r sum _; do
      grep -q "${sum#\\}" manifest.json || fail "$1/SHA256SUMS differs from the manifest: $sum"
    done <SHA256SUMS
  elif [ ! -f SHA256SUMS ]; then
    echo "$1 has no SHA256SUMS: its files are not checked"
    [ -n "$(find . -type f)" ] || fail "$1 is empty"
    return
  fi
  sha256sum --check --quiet --strict SHA256SUMS
  found=$(find . -type f ! -path ./SHA256SUMS ! -path ./manifest.json | wc -l)
  listed=$(wc -l <SHA256SUMS)
  [ "$found" -eq "$listed" ] || fail "$1 has $found files, and SHA256SUMS lists $listed"
}

fail() {
  echo "$1" >&2
  exit 1
}

