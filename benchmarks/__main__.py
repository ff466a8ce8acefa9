"""All benchmarks: python -m benchmarks."""

from benchmarks import (
    bench_archive,
    bench_kafka,
    bench_kafka_drain,
    bench_local_sources,
    bench_monitor,
    bench_process,
    bench_recognition,
    bench_survey,
    bench_tables,
    bench_text,
    bench_verdicts,
    bench_viewers,
    reconstruction_truth,
)

bench_monitor.main()
bench_process.main()
bench_survey.main()
reconstruction_truth.speeds()
bench_verdicts.main()
bench_recognition.main()
bench_text.main()
bench_tables.main()
bench_archive.main()
bench_kafka.main()
bench_kafka_drain.main()
bench_local_sources.main()
bench_viewers.main()
