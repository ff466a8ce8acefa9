#!/bin/sh
# The engine by spark-submit, on a cluster that is there already, in client mode: this process is the driver.
#
#   deploy/spark-submit.sh spark://master:7077 kafka://broker:9092/frames --store run.db
#
# muonstream --engine spark starts Spark by itself: this is for clusters on which everything must go through
# spark-submit. Further arguments go to `muonstream run`; SPARK_SUBMIT_OPTIONS, split at spaces, to spark-submit, such
# as `--jars` where Spark cannot fetch the connector, which has to be of the cluster's own version.
set -eu
if [ $# -lt 2 ]; then
  echo "usage: $0 MASTER kafka://HOST:PORT/TOPIC [options of muonstream run]" >&2
  exit 2
fi
master=$1
shift
here=$(dirname "$0")
# shellcheck disable=SC2086
exec spark-submit --master "$master" \
  ${SPARK_SUBMIT_OPTIONS:---packages org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0} \
  "$here/spark_submit.py" run "$@" --engine spark --master "$master"
