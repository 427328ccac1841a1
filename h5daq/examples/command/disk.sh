# How full is the disk below here, again and again: disk.sh SECONDS
echo "# looking every $1 s"          # lines with # are comments, and go to the log
while :; do
    df -Pk . | awk 'NR == 2 { print $3, $4 }'
    sleep "$1"
done
