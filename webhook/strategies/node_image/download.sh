# download URI FOLDER [OPTION...]: copy a version with options of the AWS CLI. Everybody may read the files.
download() {
  uri=$1
  folder=$2
  shift 2
  mkdir -p "$folder"
  aws s3 cp --recursive --only-show-errors "$@" "$uri/" "$folder/"
  chmod -R u=rwX,go=rX "$folder"
}

