#!/usr/bin/env bash
# What would io_uring gain over positional reads, for the ranges a device reads? Column chunks of Parquet files are some 100 KiB to some MiB.
#
#   benches/reads.sh [FOLDER [GiB]]        needs fio and jq; writes one file of so many GiB (2) into FOLDER (.), and removes it
#
# Two readers, as a device on two cores has. `psync` is pread(2) on the readers' own threads, which is what a device does today; `io_uring`
# keeps 8 reads of each reader under way.
set -euo pipefail

folder=${1:-.} size=${2:-2}G
for tool in fio jq; do
    command -v "$tool" >/dev/null || { echo "missing: $tool (Debian: apt-get install $tool)" >&2; exit 1; }
done
file=$folder/nearside-reads.tmp
trap 'rm -f "$file"' EXIT
fio --name=lay --filename="$file" --size="$size" --rw=write --bs=1M --end_fsync=1 --output=/dev/null

# cache, block size, engine, reads under way -> one line
measure() {
    local direct=1 warm=0
    [[ $1 == warm ]] && direct=0 warm=1
    [[ $warm == 1 ]] && cat "$file" >/dev/null
    fio --name=read --filename="$file" --rw=randread --norandommap --bs="$2" --direct=$direct --invalidate=$((1 - warm)) \
        --ioengine="$3" --iodepth="$4" --numjobs=2 --group_reporting --time_based --runtime=5 --output-format=json |
        jq -r --arg what "| $1 | $2 | $3 | $4 |" \
            '.jobs[0] | "\($what) \(.read.bw_bytes / 1e6 | round) | \((.usr_cpu + .sys_cpu) * .job_runtime / 100 * 1e6 / (.read.io_bytes / 1e6) / 1e3 | round) |"'
}

echo "| cache | read | engine | depth | MB/s | CPU µs a MB |"
echo "|---|---|---|---|---|---|"
for cache in cold warm; do
    for block in 128k 1M; do
        measure $cache $block psync 1
        measure $cache $block io_uring 8
    done
done
