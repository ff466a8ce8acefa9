"""All benchmarks: python -m benchmarks."""

from benchmarks import bench_monitor, bench_text

bench_monitor.main()
bench_text.main()
