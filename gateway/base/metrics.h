/* Counters, gauges and histograms; atomic, registered once, printed in Prometheus text format by admin. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"

typedef struct metric metric_t;

/* Finds or creates. `labels` is a literal like "event=\"x\"" or "". Owned by the registry, valid for ever.
 * Returns NULL only when the registry's bound (1,024 series) is reached. */
metric_t *metric_counter(const char *name, const char *help, const char *labels);
metric_t *metric_gauge(const char *name, const char *help, const char *labels);
/* Set in microseconds, printed in seconds. */
metric_t *metric_gauge_us(const char *name, const char *help, const char *labels);
/* Buckets fixed: 0.1 ms to 10 s; observe in microseconds. */
metric_t *metric_histogram_us(const char *name, const char *help, const char *labels);

void metric_add(metric_t *metric, int64_t delta); /* NULL is allowed in all three */
void metric_set(metric_t *metric, int64_t value);
void metric_observe_us(metric_t *metric, int64_t us);
int64_t metric_value(const metric_t *metric);

/* Appends the exposition of all series. */
void metrics_write(buf_t *out);

#endif
