#include "db/binary_text.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { OID_TIMESTAMP = 1114, OID_TIMESTAMPTZ = 1184, OID_UUID = 2950, UUID_SIZE = 16, TIMESTAMP_SIZE = 8 };
enum { DAYS_1970_TO_2000 = 10957 };
#define DAY_US INT64_C(86400000000)

typedef struct {
    int64_t year; /* 0 is 1 BC */
    uint32_t month, day;
} civil_t;

bool binary_is_cheaper(uint32_t type_oid)
{
    return type_oid == OID_TIMESTAMPTZ || type_oid == OID_UUID || type_oid == OID_TIMESTAMP;
}

/* ---- dates ---- */

/* Proleptic Gregorian. Years begin in March, so that the day that some lack is their last: then months follow
 * a rule of 153 days in five, and 400 years always have 146,097 days. */
static civil_t civil_of(int64_t days_since_1970)
{
    enum { ERA_DAYS = 146097, ERA_YEARS = 400, DAYS_0_MARCH_TO_1970 = 719468 };
    int64_t days = days_since_1970 + DAYS_0_MARCH_TO_1970;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    uint32_t of_era = (uint32_t)(days - era * ERA_DAYS);
    uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * of_year + 2) / 153; /* 0: March */
    civil_t out = {.year = era * ERA_YEARS + year, .day = of_year - (153 * month + 2) / 5 + 1};
    out.month = month < 10 ? month + 3 : month - 9;
    out.year += out.month <= 2;
    return out;
}

static char *put_two(char *to, uint32_t value)
{
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
    return to + 2;
}

/* At least four digits. */
static char *put_year(char *to, uint32_t year)
{
    if (year >= 100000)
        *to++ = (char)('0' + year / 100000);
    if (year >= 10000)
        *to++ = (char)('0' + year / 10000 % 10);
    return put_two(put_two(to, year / 100 % 100), year % 100);
}

/* Without the zeros at the end. */
static char *put_fraction(char *to, uint32_t us)
{
    if (us == 0)
        return to;
    *to++ = '.';
    to = put_two(put_two(put_two(to, us / 10000), us / 100 % 100), us % 100);
    while (to[-1] == '0')
        to--;
    return to;
}

static char *put_clock(char *to, int64_t us)
{
    uint32_t seconds = (uint32_t)(us / 1000000);
    to = put_two(to, seconds / 3600);
    *to++ = ':';
    to = put_two(to, seconds / 60 % 60);
    *to++ = ':';
    to = put_two(to, seconds % 60);
    return put_fraction(to, (uint32_t)(us % 1000000));
}

static char *put_text(char *to, str_t text)
{
    memcpy(to, text.base, text.len);
    return to + text.len;
}

static char *put_timestamp(char *to, int64_t us, bool has_zone)
{
    if (us == INT64_MAX)
        return put_text(to, STR("infinity"));
    if (us == INT64_MIN)
        return put_text(to, STR("-infinity"));
    int64_t days = us / DAY_US, clock = us % DAY_US;
    if (clock < 0) {
        clock += DAY_US;
        days--;
    }
    civil_t civil = civil_of(days + DAYS_1970_TO_2000);
    bool is_bc = civil.year <= 0;
    to = put_year(to, (uint32_t)(is_bc ? 1 - civil.year : civil.year));
    *to++ = '-';
    to = put_two(to, civil.month);
    *to++ = '-';
    to = put_two(to, civil.day);
    *to++ = ' ';
    to = put_clock(to, clock);
    if (has_zone)
        to = put_text(to, STR("+00"));
    return is_bc ? put_text(to, STR(" BC")) : to;
}

/* ---- UUIDs ---- */

/* The digits of 16 bytes. */
static void put_hex(char to[2 * UUID_SIZE], const char *bytes)
{
#if defined(__SSE2__)
    const __m128i low = _mm_set1_epi8(15), nine = _mm_set1_epi8(9), zero = _mm_set1_epi8('0'),
                  to_letters = _mm_set1_epi8('a' - '9' - 1);
    __m128i all = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i high_half = _mm_and_si128(_mm_srli_epi16(all, 4), low), low_half = _mm_and_si128(all, low);
    __m128i halves[2] = {_mm_unpacklo_epi8(high_half, low_half), _mm_unpackhi_epi8(high_half, low_half)};
    for (int i = 0; i < 2; i++) {
        __m128i letters = _mm_and_si128(_mm_cmpgt_epi8(halves[i], nine), to_letters);
        _mm_storeu_si128((__m128i *)(void *)(to + 16 * i),
                         _mm_add_epi8(_mm_add_epi8(halves[i], zero), letters));
    }
#else
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < UUID_SIZE; i++) {
        *to++ = digits[(unsigned char)bytes[i] >> 4];
        *to++ = digits[(unsigned char)bytes[i] & 15];
    }
#endif
}

static char *put_uuid(char *to, const char *bytes)
{
    char hex[2 * UUID_SIZE];
    put_hex(hex, bytes);
    memcpy(to, hex, 8);
    for (size_t group = 0; group < 4; group++) {
        to[8 + 5 * group] = '-';
        memcpy(to + 9 + 5 * group, hex + 8 + 4 * group, 4);
    }
    memcpy(to + 28, hex + 24, 8); /* the last group has twelve */
    return to + 36;
}

size_t binary_to_text(char *to, uint32_t type_oid, str_t value)
{
    if (value.len != (type_oid == OID_UUID ? UUID_SIZE : TIMESTAMP_SIZE))
        return 0;
    if (type_oid == OID_UUID)
        return (size_t)(put_uuid(to, value.base) - to);
    uint64_t bits;
    memcpy(&bits, value.base, sizeof(bits));
    int64_t us = (int64_t)__builtin_bswap64(bits);
    return (size_t)(put_timestamp(to, us, type_oid == OID_TIMESTAMPTZ) - to);
}
