/* SIP source filter: no answer at all to whoever may not speak to us, and an upper rate of new INVITEs.
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   pj_sock_accept                 a stranger's connection is closed before a byte of it is read      linked with
 *   pjsip_tpmgr_receive_packet     a stranger's packet is forgotten before it is parsed               -Wl,--wrap=...
 *   source_filter                  a module of the library below its transaction layer: of whom we only call, requests
 *                                  within dialogs alone; what is no business of ours is told so; and the rate
 *
 * Two kinds of address are heard: those of the configuration, wholly; and those that we sent a request to, for their
 * responses and for what they say within the dialogs that they have with us.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
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

enum {
    MAX_CALLED = 256,      /* addresses that we sent requests to: the newest */
    REMEMBERED = 8192,     /* places for INVITEs that were refused lately */
    REFUSED_FOR_S = 32,    /* as long as copies of one INVITE may come (RFC 3261, timer B) */
    SLOTS_LEFT = 2         /* below that the library itself would say 486, and the PBX would go nowhere else */
};

struct bucket { double per_second, at_once, tokens; uint64_t filled_at; };

static pthread_mutex_t filter_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static bool filtering;
static struct network networks[MAX_NETWORKS], called[MAX_CALLED];
static int network_count;
static unsigned called_count;
static struct bucket taken, refused; /* of `taken` nothing a second: no limit */
static int retry_after_s;
static struct { uint64_t invite, until; } refusals[REMEMBERED];
static struct sip_counters sip;

static bool lies_in(const struct network *network, uint16_t family, const uint8_t address[16])
{
    const unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (family != network->family || memcmp(address, network->address, whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ network->address[whole]) >> (8 - rest)) == 0;
}

static bool in_list(const struct network *list, unsigned length, const pj_sockaddr *source)
{
    uint8_t address[16];
    const uint16_t family = address_bytes(source, address);
    for (unsigned i = 0; i < length; i++)
        if (lies_in(&list[i], family, address))
            return true;
    return false;
}

static bool allowed(const pj_sockaddr *source) { return in_list(networks, (unsigned)network_count, source); }

static bool known(const pj_sockaddr *source)
{
    const unsigned length = called_count < MAX_CALLED ? called_count : MAX_CALLED;
    return allowed(source) || in_list(called, length, source);
}

/* ================================================================ before anything is read */

extern pj_status_t __real_pj_sock_accept(pj_sock_t, pj_sock_t *, pj_sockaddr_t *, int *);
pj_status_t __wrap_pj_sock_accept(pj_sock_t, pj_sock_t *, pj_sockaddr_t *, int *);

/* A stranger is told to the library as an error of accept(). It would stop listening after fifty times the same one,
 * one after the other: so they differ.
 */
pj_status_t __wrap_pj_sock_accept(pj_sock_t listener, pj_sock_t *accepted, pj_sockaddr_t *source, int *length)
{
    static bool odd;
    const pj_status_t status = __real_pj_sock_accept(listener, accepted, source, length);
    if (status != PJ_SUCCESS || !source)
        return status;
    pthread_mutex_lock(&filter_mutex);
    const bool pass = !filtering || allowed(source);
    sip.strangers += !pass;
    odd ^= !pass;
    pthread_mutex_unlock(&filter_mutex);
    if (pass)
        return status;
    pj_sock_close(*accepted);
    *accepted = PJ_INVALID_SOCKET;
    return PJ_STATUS_FROM_OS(odd ? ECONNABORTED : EPROTO);
}

extern pj_ssize_t __real_pjsip_tpmgr_receive_packet(pjsip_tpmgr *, pjsip_rx_data *);
pj_ssize_t __wrap_pjsip_tpmgr_receive_packet(pjsip_tpmgr *, pjsip_rx_data *);

/* All of it was taken, as far as the transport knows. */
pj_ssize_t __wrap_pjsip_tpmgr_receive_packet(pjsip_tpmgr *manager, pjsip_rx_data *received)
{
    static const char response[] = "SIP/2.0 ";
    pthread_mutex_lock(&filter_mutex);
    const bool pass = !filtering || known(&received->pkt_info.src_addr);
    if (!pass && strncmp(received->pkt_info.packet, response, sizeof response - 1) == 0)
        sip.stray_responses++;
    else
        sip.strangers += !pass;
    pthread_mutex_unlock(&filter_mutex);
    return pass ? __real_pjsip_tpmgr_receive_packet(manager, received) : received->pkt_info.len;
}

/* ================================================================ before the transaction layer */

/* Whom we call may answer. */
static pj_status_t on_sending(pjsip_tx_data *sent)
{
    struct network one = {0};
    one.family = (uint8_t)address_bytes(&sent->tp_info.dst_addr, one.address);
    one.bits = one.family == 4 ? 32 : 128;
    pthread_mutex_lock(&filter_mutex);
    if (one.family && !known(&sent->tp_info.dst_addr))
        called[called_count++ % MAX_CALLED] = one;
    pthread_mutex_unlock(&filter_mutex);
    return PJ_SUCCESS;
}

/* A request that was taken already: it, or its copy, is answered again, whatever the rate. */
static bool is_copy(pjsip_rx_data *received, pj_str_t *key)
{
    const pjsip_method *method = &received->msg_info.msg->line.req.method;
    if (pjsip_tsx_create_key(received->tp_info.pool, key, PJSIP_ROLE_UAS, method, received) == PJ_SUCCESS)
        return pjsip_tsx_layer_find_tsx(key, PJ_FALSE) != NULL;
    key->slen = 0;
    return false;
}

static bool within_a_dialog(pjsip_rx_data *received)
{
    const pjsip_from_hdr *from = received->msg_info.from, *to = received->msg_info.to;
    const pjsip_cid_hdr *call = received->msg_info.cid;
    pj_str_t key;
    if (!from || !to || !call || to->tag.slen == 0)
        return false;
    return pjsip_ua_find_dialog(&call->id, &to->tag, &from->tag, PJ_FALSE) != NULL || is_copy(received, &key);
}

static uint64_t hash_of(const pj_str_t *key)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (pj_ssize_t i = 0; i < key->slen; i++)
        hash = (hash ^ (uint8_t)key->ptr[i]) * 1099511628211u;
    return hash;
}

static bool take(struct bucket *bucket, uint64_t at)
{
    bucket->tokens += (double)(at - bucket->filled_at) * 1e-9 * bucket->per_second;
    bucket->filled_at = at;
    if (bucket->tokens > bucket->at_once)
        bucket->tokens = bucket->at_once;
    if (bucket->tokens < 1)
        return false;
    bucket->tokens -= 1;
    return true;
}

enum verdict { TAKEN, TOLD, SILENCE };

/* An INVITE that was refused stays refused, or its copy would become a call that its caller no longer waits for. */
static enum verdict judge(uint64_t invite)
{
    const uint64_t at = now(CLOCK_MONOTONIC);
    const bool full = pjsua_call_get_count() + SLOTS_LEFT > pjsua_call_get_max_count();
    const bool again = refusals[invite % REMEMBERED].invite == invite && refusals[invite % REMEMBERED].until > at;
    if (!again && !full && (taken.per_second <= 0 || take(&taken, at))) {
        sip.invites_taken++;
        return TAKEN;
    }
    sip.invites_beyond_rate += !again;
    if (!take(&refused, at))
        return SILENCE;
    refusals[invite % REMEMBERED].invite = invite;
    refusals[invite % REMEMBERED].until = at + REFUSED_FOR_S * 1000000000ull;
    return TOLD;
}

static void tell_503(pjsip_rx_data *received)
{
    static const pj_str_t reason = {"Too many calls at once", 22};
    pjsip_hdr headers;
    pj_list_init(&headers);
    pj_list_push_back(&headers, pjsip_retry_after_hdr_create(received->tp_info.pool, retry_after_s));
    pjsip_endpt_respond_stateless(pjsua_get_pjsip_endpt(), received, 503, &reason, &headers, NULL);
}

static bool starts_a_call(pjsip_rx_data *received, pj_str_t *key)
{
    if (received->msg_info.msg->line.req.method.id != PJSIP_INVITE_METHOD)
        return false;
    return received->msg_info.to && received->msg_info.to->tag.slen == 0 && !is_copy(received, key);
}

/* A request that belongs to no dialog and starts nothing here. The library would leave most of them without an answer, so
 * that a peer that lost its way asks for half a minute; MESSAGE it would take, and nobody would read it. What has a To tag
 * it tells 481 itself, but for REGISTER. 0: another's business. */
static int status_outside(pjsip_rx_data *received)
{
    static const char *const within_dialogs[] = {"BYE", "UPDATE", "PRACK", "INFO", "NOTIFY"};
    static const char *const elsewhere[] = {"REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "REFER"};
    static const char *const taken_here[] = {"INVITE", "ACK", "CANCEL", "OPTIONS"};
    const pj_str_t *method = &received->msg_info.msg->line.req.method.name;

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(taken_here); i++)
        if (pj_strcmp2(method, taken_here[i]) == 0)
            return 0;
    if (received->msg_info.to && received->msg_info.to->tag.slen && pj_strcmp2(method, "REGISTER") != 0)
        return 0;
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(within_dialogs); i++)
        if (pj_strcmp2(method, within_dialogs[i]) == 0)
            return PJSIP_SC_CALL_TSX_DOES_NOT_EXIST;
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(elsewhere); i++)
        if (pj_strcmp2(method, elsewhere[i]) == 0)
            return PJSIP_SC_METHOD_NOT_ALLOWED;
    return PJSIP_SC_NOT_IMPLEMENTED;
}

static void tell_status(pjsip_rx_data *received, int status)
{
    static const pj_str_t name = {"Allow", 5}, value = {"INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO", 54};
    pjsip_hdr headers;
    pj_list_init(&headers);
    if (status == PJSIP_SC_METHOD_NOT_ALLOWED)
        pj_list_push_back(&headers, pjsip_generic_string_hdr_create(received->tp_info.pool, &name, &value));
    pjsip_endpt_respond_stateless(pjsua_get_pjsip_endpt(), received, status, NULL, &headers, NULL);
}

/* PJ_TRUE means handled: nothing above sees it. */
static pj_bool_t on_request(pjsip_rx_data *received)
{
    pj_str_t key;
    pthread_mutex_lock(&filter_mutex);
    const bool may_ask = allowed(&received->pkt_info.src_addr);
    pthread_mutex_unlock(&filter_mutex);
    const bool pass = may_ask || within_a_dialog(received);
    pthread_mutex_lock(&filter_mutex);
    sip.requests++;
    sip.strangers += !pass;
    pthread_mutex_unlock(&filter_mutex);
    const int status = pass ? status_outside(received) : 0;
    if (status)
        tell_status(received, status);
    if (!pass || status || !starts_a_call(received, &key))
        return !pass || status;
    pthread_mutex_lock(&filter_mutex);
    const enum verdict verdict = judge(hash_of(&key));
    pthread_mutex_unlock(&filter_mutex);
    if (verdict == TOLD)
        tell_503(received);
    return verdict != TAKEN;
}

/* before the transport layer (8) and the transaction layer (16) */
static pjsip_module source_filter = {
    .name = {"callrec-source-filter", 21}, .id = -1, .priority = PJSIP_MOD_PRIORITY_TRANSPORT_LAYER - 6,
    .on_rx_request = &on_request, .on_tx_request = &on_sending};

/* From a thread the library knows, when it is initialised and before it listens. Until networks are allowed nobody is
 * heard. 0, or the library's status. */
EXPORT int callrec_sip_install(void)
{
    const pj_status_t status = pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &source_filter);
    pthread_mutex_lock(&filter_mutex);
    filtering = status == PJ_SUCCESS;
    pthread_mutex_unlock(&filter_mutex);
    return status;
}

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
    taken = (struct bucket){per_second, at_once, at_once, now(CLOCK_MONOTONIC)};
    pthread_mutex_unlock(&filter_mutex);
}

/* Of the INVITEs beyond, so many a second are told 503 with that Retry-After, in seconds, instead of nothing. */
EXPORT void callrec_sip_refusals(double per_second, int retry_after)
{
    pthread_mutex_lock(&filter_mutex);
    refused = (struct bucket){per_second, per_second, per_second, now(CLOCK_MONOTONIC)};
    retry_after_s = retry_after;
    pthread_mutex_unlock(&filter_mutex);
}

EXPORT void callrec_sip_counters(struct sip_counters *out)
{
    pthread_mutex_lock(&filter_mutex);
    *out = sip;
    pthread_mutex_unlock(&filter_mutex);
}
