#include "base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SERIES_MAX 1024
#define SLOT_COUNT 2048 /* power of two, twice the bound */
#define BUCKET_COUNT 16

typedef enum { METRIC_COUNTER, METRIC_GAUGE, METRIC_GAUGE_US, METRIC_HISTOGRAM } metric_type_t;

static const char *const TYPE_NAMES[] = {"counter", "gauge", "gauge", "histogram"};
static const int64_t BUCKET_US[BUCKET_COUNT] = {100,     250,     500,     1000,    2500,   5000,
                                                10000,   25000,   50000,   100000,  250000, 500000,
                                                1000000, 2500000, 5000000, 10000000};
static const char *const BUCKET_SECONDS[BUCKET_COUNT] = {
    "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
    "0.05",   "0.1",     "0.25",   "0.5",   "1",      "2.5",   "5",    "10"};

typedef struct {
    _Atomic int64_t counts[BUCKET_COUNT];
    _Atomic int64_t sum_us;
} histogram_t;

struct metric {
    char *name, *help, *labels;
    metric_type_t type;
    _Atomic int64_t value; /* of a histogram: the number of observations */
    histogram_t *histogram;
};

/* The one registry of the process: series are only ever added. */
static struct {
    pthread_mutex_t lock;
    metric_t *slots[SLOT_COUNT];
    size_t count;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *checked(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static metric_t *series_create(metric_type_t type, const char *name, const char *help, const char *labels)
{
    metric_t *metric = checked(calloc(1, sizeof(*metric)));
    metric->type = type;
    metric->name = checked(strdup(name));
    metric->help = checked(strdup(help));
    metric->labels = checked(strdup(labels));
    if (type == METRIC_HISTOGRAM)
        metric->histogram = checked(calloc(1, sizeof(*metric->histogram)));
    return metric;
}

static metric_t *find_or_create(metric_type_t type, const char *name, const char *help, const char *labels)
{
    uint64_t hash = str_hash(str_from_c(name)) * 31 + str_hash(str_from_c(labels));
    metric_t *found = NULL;
    pthread_mutex_lock(&registry.lock);
    for (size_t at = hash % SLOT_COUNT;; at = (at + 1) % SLOT_COUNT) {
        metric_t *metric = registry.slots[at];
        if (metric == NULL) {
            if (registry.count < SERIES_MAX) {
                found = registry.slots[at] = series_create(type, name, help, labels);
                registry.count++;
            }
            break;
        }
        if (strcmp(metric->name, name) == 0 && strcmp(metric->labels, labels) == 0) {
            found = metric;
            break;
        }
    }
    pthread_mutex_unlock(&registry.lock);
    return found;
}

metric_t *metric_counter(const char *name, const char *help, const char *labels)
{
    return find_or_create(METRIC_COUNTER, name, help, labels);
}

metric_t *metric_gauge(const char *name, const char *help, const char *labels)
{
    return find_or_create(METRIC_GAUGE, name, help, labels);
}

metric_t *metric_gauge_us(const char *name, const char *help, const char *labels)
{
    return find_or_create(METRIC_GAUGE_US, name, help, labels);
}

metric_t *metric_histogram_us(const char *name, const char *help, const char *labels)
{
    return find_or_create(METRIC_HISTOGRAM, name, help, labels);
}

void metric_add(metric_t *metric, int64_t delta)
{
    if (metric != NULL)
        atomic_fetch_add_explicit(&metric->value, delta, memory_order_relaxed);
}

void metric_set(metric_t *metric, int64_t value)
{
    if (metric != NULL)
        atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe_us(metric_t *metric, int64_t us)
{
    if (metric == NULL || metric->histogram == NULL)
        return;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        if (us <= BUCKET_US[i]) {
            atomic_fetch_add_explicit(&metric->histogram->counts[i], 1, memory_order_relaxed);
            break;
        }
    }
    atomic_fetch_add_explicit(&metric->histogram->sum_us, us, memory_order_relaxed);
    metric_add(metric, 1);
}

int64_t metric_value(const metric_t *metric)
{
    return metric != NULL ? atomic_load_explicit(&metric->value, memory_order_relaxed) : 0;
}

static void write_histogram(buf_t *out, const metric_t *metric)
{
    const char *comma = metric->labels[0] != '\0' ? "," : "";
    int64_t below = 0;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        below += atomic_load_explicit(&metric->histogram->counts[i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRId64 "\n", metric->name, metric->labels, comma,
                   BUCKET_SECONDS[i], below);
    }
    int64_t count = metric_value(metric), sum = atomic_load(&metric->histogram->sum_us);
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRId64 "\n", metric->name, metric->labels, comma, count);
    const char *open = comma[0] != '\0' ? "{" : "", *close = comma[0] != '\0' ? "}" : "";
    buf_printf(out, "%s_sum%s%s%s %.6f\n", metric->name, open, metric->labels, close, (double)sum / 1e6);
    buf_printf(out, "%s_count%s%s%s %" PRId64 "\n", metric->name, open, metric->labels, close, count);
}

static int by_name(const void *a, const void *b)
{
    const metric_t *left = *(metric_t *const *)a, *right = *(metric_t *const *)b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->labels, right->labels);
}

void metrics_write(buf_t *out)
{
    metric_t *sorted[SERIES_MAX];
    size_t count = 0;
    pthread_mutex_lock(&registry.lock);
    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (registry.slots[i] != NULL)
            sorted[count++] = registry.slots[i];
    pthread_mutex_unlock(&registry.lock);
    qsort(sorted, count, sizeof(sorted[0]), by_name);
    for (size_t i = 0; i < count; i++) {
        const metric_t *metric = sorted[i];
        if (i == 0 || strcmp(sorted[i - 1]->name, metric->name) != 0)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                       TYPE_NAMES[metric->type]);
        if (metric->type == METRIC_HISTOGRAM)
            write_histogram(out, metric);
        else if (metric->type == METRIC_GAUGE_US)
            buf_printf(out, "%s%s%s%s %.6f\n", metric->name, metric->labels[0] != '\0' ? "{" : "",
                       metric->labels, metric->labels[0] != '\0' ? "}" : "",
                       (double)metric_value(metric) / 1e6);
        else if (metric->labels[0] != '\0')
            buf_printf(out, "%s{%s} %" PRId64 "\n", metric->name, metric->labels, metric_value(metric));
        else
            buf_printf(out, "%s %" PRId64 "\n", metric->name, metric_value(metric));
    }
}
