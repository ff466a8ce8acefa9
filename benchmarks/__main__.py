"""All benchmarks: python -m benchmarks."""

from benchmarks import bench_kafka, bench_monitor, bench_process, bench_text, bench_viewers

bench_monitor.main()
bench_process.main()
bench_text.main()
bench_kafka.main()
bench_viewers.main()
