/* SIP source filter: no answer at all to a request from elsewhere, and an upper rate of new INVITEs.
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A module of the library below its transport and transaction layers: what it keeps is parsed, and then forgotten.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <pthread.h>
#include <string.h>

uint16_t address_bytes(const pj_sockaddr *from, uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memset(address, 0, 16);
    if (from && from->addr.sa_family == pj_AF_INET()) {
        memcpy(address, &from->ipv4.sin_addr, 4);
        return 4;
    }
    if (!from || from->addr.sa_family != pj_AF_INET6())
        return 0;
    const uint8_t *whole = (const uint8_t *)&from->ipv6.sin6_addr;
    bool is_mapped = memcmp(whole, mapped, sizeof mapped) == 0;
    memcpy(address, is_mapped ? whole + 12 : whole, is_mapped ? 4 : 16);
    return is_mapped ? 4 : 6;
}

uint64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static pthread_mutex_t filter_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct network networks[MAX_NETWORKS];
static int network_count;
static double rate, burst, tokens; /* rate 0: no limit */
static uint64_t filled_at;
static struct sip_counters sip;

static bool lies_in(const struct network *network, uint16_t family, const uint8_t address[16])
{
    const unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (family != network->family || memcmp(address, network->address, whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ network->address[whole]) >> (8 - rest)) == 0;
}

static bool allowed(const pj_sockaddr *source)
{
    uint8_t address[16];
    const uint16_t family = address_bytes(source, address);
    for (int i = 0; i < network_count; i++)
        if (lies_in(&networks[i], family, address))
            return true;
    return false;
}

static bool take_token(void)
{
    const uint64_t at = now(CLOCK_MONOTONIC);
    tokens += (double)(at - filled_at) * 1e-9 * rate;
    filled_at = at;
    if (tokens > burst)
        tokens = burst;
    if (tokens < 1)
        return false;
    tokens -= 1;
    return true;
}

/* A call that was taken already is told so again, whatever the rate: then its transaction is known. */
static bool starts_a_call(pjsip_rx_data *received)
{
    pj_str_t key;
    const pjsip_method *method = &received->msg_info.msg->line.req.method;
    if (method->id != PJSIP_INVITE_METHOD || !received->msg_info.to || received->msg_info.to->tag.slen != 0)
        return false;
    if (pjsip_tsx_create_key(received->tp_info.pool, &key, PJSIP_ROLE_UAS, method, received) != PJ_SUCCESS)
        return true;
    return pjsip_tsx_layer_find_tsx(&key, PJ_FALSE) == NULL;
}

static bool within_rate(void)
{
    if (rate > 0 && !take_token()) {
        sip.invites_beyond_rate++;
        return false;
    }
    sip.invites_taken++;
    return true;
}

/* PJ_TRUE means handled: nothing above sees it and nothing is answered. */
static pj_bool_t on_request(pjsip_rx_data *received)
{
    pthread_mutex_lock(&filter_mutex);
    bool pass = allowed(&received->pkt_info.src_addr);
    sip.requests++;
    sip.strangers += !pass;
    pthread_mutex_unlock(&filter_mutex);
    if (!pass || !starts_a_call(received))
        return !pass;
    pthread_mutex_lock(&filter_mutex);
    pass = within_rate();
    pthread_mutex_unlock(&filter_mutex);
    return !pass;
}

static pj_bool_t on_response(pjsip_rx_data *received)
{
    pthread_mutex_lock(&filter_mutex);
    const bool pass = allowed(&received->pkt_info.src_addr);
    sip.stray_responses += !pass;
    pthread_mutex_unlock(&filter_mutex);
    return !pass;
}

/* before the transport layer (8) and the transaction layer (16) */
static pjsip_module source_filter = {
    .name = {"callrec-source-filter", 21}, .id = -1, .priority = PJSIP_MOD_PRIORITY_TRANSPORT_LAYER - 6,
    .on_rx_request = &on_request, .on_rx_response = &on_response};

/* From a thread the library knows, when it is initialised. Until networks are allowed nobody is heard. 0, or the
 * library's status. */
EXPORT int callrec_sip_install(void) { return pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &source_filter); }

static bool is_network(const struct network *network)
{
    return (network->family == 4 && network->bits <= 32) || (network->family == 6 && network->bits <= 128);
}

/* From now on these and no others. 0, or -1 and nothing changed: too many, or one that is none. */
EXPORT int callrec_sip_allow(const struct network *list, int length)
{
    if (length < 0 || length > MAX_NETWORKS)
        return -1;
    for (int i = 0; i < length; i++)
        if (!is_network(&list[i]))
            return -1;
    pthread_mutex_lock(&filter_mutex);
    if (length)
        memcpy(networks, list, (size_t)length * sizeof *list);
    network_count = length;
    pthread_mutex_unlock(&filter_mutex);
    return 0;
}

/* New INVITEs that all peers together may send; 0: no limit. What is beyond gets no answer: over UDP it comes again. */
EXPORT void callrec_sip_rate(double per_second, double at_once)
{
    pthread_mutex_lock(&filter_mutex);
    rate = per_second;
    burst = tokens = at_once;
    filled_at = now(CLOCK_MONOTONIC);
    pthread_mutex_unlock(&filter_mutex);
}

EXPORT void callrec_sip_counters(struct sip_counters *out)
{
    pthread_mutex_lock(&filter_mutex);
    *out = sip;
    pthread_mutex_unlock(&filter_mutex);
}
