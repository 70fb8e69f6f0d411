/* Wire tap and media source filter. SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   wire tap            what the kernel took for a call leg's peer, and the RTCP that came in, window by window
 *   media source filter RTP and RTCP only from the address in the peer's SDP; the rest is counted
 *   gate                nothing goes out on a leg that answers before its ACK is in: whoever sent the INVITE under a
 *                       false name cannot have us send media to the address it gave
 *
 * Callers reach the functions marked EXPORT by name in the extension module's own shared object; nothing here calls
 * into Python. engine.h declares what they read. How it stands in the library, for one leg:
 *
 *     stream | SRTP adapter | UDP transport   | pj_sock_sendto | kernel
 *            ^ send_*       ^ attach2, send_*   ^ linked with -Wl,--wrap=pj_sock_sendto
 *
 * - pj_sock_sendto is the last place before the kernel: it sees its result and the real destination. A layer above may
 *   report success without sending: not yet started, loss simulated, queued.
 * - What is encrypted there was seen in the clear by the SRTP adapter's send_*, one layer up in the same thread.
 * - attach2 tells the address of the peer's current SDP, and lets us stand between socket and SRTP for all that comes.
 *
 * Threads: packets go out in the clock and SIP threads and come in in a media thread; the EXPORTed functions may be
 * called in any thread. Order of locks: registry, then one
 * leg; neither is held while the library is called. Legs are static and never freed: a late thread finds a leg that is
 * no longer its own, never a dangling pointer.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <pjsua-lib/pjsua_internal.h>
#include <pjmedia/transport_srtp.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_LEGS = 4096,        /* at one time; more are carried without a tap */
    RESTING = 64,           /* places that nobody uses rest until so many do: late threads may still look at them */
    MAX_SOCKET = 65536,     /* sockets numbered from here on have no tap */
    LARGEST_RTCP = 1500,    /* a longer one is stored, but never as decrypted */
    RTP_HEADER = 12,        /* all that is kept of a foreign RTP packet */
    SENDER_REPORT = 28,     /* bytes of its header and sender info (RFC 3550 section 6.4.1) */
    SENDER_REPORT_TYPE = 200,
    REPORTS_KEPT = 4        /* of what was sent before a window: peers report every few seconds, on our newest */
};

#define STILL_ON_ITS_WAY 2000000000ull  /* ns after a new address: what comes from the peer's last one is late, not foreign */

/* ================================================================ legs and how they are found */

typedef void rtp_callback(void *user_data, void *packet, pj_ssize_t size);
typedef void rtp_callback2(pjmedia_tp_cb_param *packet);

struct window {
    uint8_t *records;
    size_t room, used;
    bool open;              /* takes records */
    bool reports_only;      /* of RTCP, and no RTP: who speaks on the leg by now is none of its business */
    bool held;              /* its handle has not been given back; outlives the leg */
    struct counters counters;
};

struct sent_report { struct record record; uint8_t packet[SENDER_REPORT]; };

struct leg {
    pthread_mutex_t mutex;  /* guards what follows, except the operations */
    bool in_use, alive;     /* not alive: its sockets are closed, its window may still be held */
    int generation;         /* of this place; part of a window's handle */
    int call, media;
    pj_sock_t rtp_socket, rtcp_socket;
    pjmedia_transport *udp, *srtp;
    _Atomic bool gate_open; /* read without the mutex */

    bool peer_known;
    pj_sockaddr peer_rtp, peer_rtcp;
    pj_sockaddr last_rtp, last_rtcp;    /* before the address changed */
    uint64_t changed_ns;                /* 0: it never did */
    void *above;            /* whom packets are passed to, and how */
    rtp_callback *rtp_up, *rtcp_up;
    rtp_callback2 *rtp_up2;

    struct counters counters;
    struct window window;
    struct sent_report reports[REPORTS_KEPT];
    unsigned reports_sent;

    pjmedia_transport_op udp_operations, srtp_operations; /* this leg's own tables: a transport leads back to its leg */
};

#define LEG_OF(transport, table) ((struct leg *)((char *)(transport)->op - offsetof(struct leg, table)))

static struct leg legs[MAX_LEGS] = {[0 ... MAX_LEGS - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER}};
static _Atomic(struct leg *) leg_of_socket[MAX_SOCKET];

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct leg *leg_of_call[PJSUA_MAX_CALLS][PJSUA_MAX_CALL_MEDIA];
static int free_places[MAX_LEGS], first_free, free_count, places_touched; /* a ring: longest free first */
static size_t memory_used, memory_limit = (size_t)256 << 20;

/* the library's own operations: one table for all transports of a kind, known from the first one */
static const pjmedia_transport_op *udp_library, *srtp_library;
static pjmedia_transport *(*next_in_line)(pjsua_call_id, unsigned, pjmedia_transport *, unsigned);
static void (*next_to_know_state)(pjsua_call_id, pjsip_event *);

static _Atomic int rtp_filter = ADDRESS_AND_PORT, rtcp_filter = ADDRESS_AND_PORT;

/* what this thread is handing down through the SRTP adapter */
static __thread struct { const void *packet; size_t size; bool reached_socket; } handing_down;

/* ---------------------------------------------------------------- counters and records; the leg's mutex is held */

static void count(struct leg *leg, enum counter which)
{
    leg->counters.of[which]++;
    if (leg->window.open)
        leg->window.counters.of[which]++;
}

struct stored { const void *bytes; size_t size, wire_size; };

static void append(struct leg *leg, const struct record *record, const void *packet)
{
    struct window *window = &leg->window;
    if (record->size > window->room - window->used) {
        count(leg, COUNT_OVERFLOW);
        return;
    }
    memcpy(window->records + window->used, record, sizeof *record);
    if (record->packet_bytes)
        memcpy(window->records + window->used + sizeof *record, packet, record->packet_bytes);
    window->used += record->size;
}

static struct record make_record(enum record_kind kind, unsigned flags, pj_status_t status, const pj_sockaddr *address,
                                 struct stored packet)
{
    struct record record = {
        .size = (uint32_t)(sizeof record + packet.size), .kind = (uint16_t)kind, .flags = (uint16_t)flags,
        .status = status, .wire_bytes = (uint32_t)packet.wire_size, .packet_bytes = (uint32_t)packet.size,
        .utc_ns = now(CLOCK_REALTIME), .boottime_ns = now(CLOCK_BOOTTIME)};
    record.family = address_bytes(address, record.address);
    record.port = record.family ? pj_sockaddr_get_port(address) : 0;
    return record;
}

static void store(struct leg *leg, enum record_kind kind, unsigned flags, pj_status_t status, const pj_sockaddr *address,
                  struct stored packet)
{
    const bool rtp = kind == RTP_SENT || kind == RTP_REFUSED || kind == RTP_FOREIGN;
    if (!leg->window.open || (rtp && leg->window.reports_only))
        return;
    const struct record record = make_record(kind, flags, status, address, packet);
    append(leg, &record, packet.bytes);
}

/* What a report of the peer's may refer to, when a window opens only after it was sent. */
static void remember_report(struct leg *leg, unsigned flags, const pj_sockaddr *to, struct stored packet)
{
    if (packet.size < SENDER_REPORT || ((const uint8_t *)packet.bytes)[1] != SENDER_REPORT_TYPE)
        return;
    packet.size = SENDER_REPORT;
    struct sent_report *report = &leg->reports[leg->reports_sent++ % REPORTS_KEPT];
    report->record = make_record(RTCP_SENT, flags | EARLIER, 0, to, packet);
    memcpy(report->packet, packet.bytes, SENDER_REPORT);
}

static void store_earlier_reports(struct leg *leg)
{
    const unsigned end = leg->reports_sent;
    for (unsigned at = end > REPORTS_KEPT ? end - REPORTS_KEPT : 0; at != end; at++) {
        const struct sent_report *report = &leg->reports[at % REPORTS_KEPT];
        append(leg, &report->record, report->packet);
    }
}

static const struct stored NO_PACKET;

static void store_peer(struct leg *leg)
{
    store(leg, PEER_ADDRESS, 0, 0, leg->peer_known ? &leg->peer_rtp : NULL, NO_PACKET);
}

/* ================================================================ going out */

/* RTCP and RTP may share a port: RFC 5761 section 4 */
static bool is_rtcp(const uint8_t *datagram, size_t size)
{
    return size > 1 && datagram[1] >= 192 && datagram[1] <= 223;
}

static void note_sent(struct leg *leg, bool rtcp, struct stored packet, unsigned flags, pj_status_t status, bool taken,
                      const pj_sockaddr *to)
{
    if (rtcp) {
        if (taken) {
            count(leg, COUNT_RTCP_SENT);
            remember_report(leg, flags, to, packet);
        }
        store(leg, RTCP_SENT, flags, status, to, packet);
    } else {
        count(leg, taken ? COUNT_RTP_SENT : COUNT_RTP_REFUSED);
        store(leg, taken ? RTP_SENT : RTP_REFUSED, flags, status, to, packet);
    }
}

/* The datagram as it was before encryption where this thread handed it down, else as it left. */
static struct stored in_the_clear(const struct leg *leg, const void *datagram, size_t size, unsigned *flags)
{
    if (!handing_down.packet) {
        *flags = leg->srtp ? DEFERRED : 0;
        return (struct stored){datagram, size, size};
    }
    bool same = handing_down.size == size && memcmp(handing_down.packet, datagram, size) == 0;
    *flags = same ? 0 : DECRYPTED;
    return (struct stored){handing_down.packet, handing_down.size, size};
}

static void tap_sent(struct leg *leg, pj_sock_t from, const void *datagram, size_t size, pj_status_t status, bool whole,
                     const pj_sockaddr *to)
{
    handing_down.reached_socket = true;
    pthread_mutex_lock(&leg->mutex);
    if (leg->alive && (from == leg->rtp_socket || from == leg->rtcp_socket)) {
        bool rtcp = from != leg->rtp_socket || is_rtcp(datagram, size);
        unsigned flags;
        struct stored packet = in_the_clear(leg, datagram, size, &flags);
        note_sent(leg, rtcp, packet, flags, status, status == PJ_SUCCESS && whole, to);
    }
    pthread_mutex_unlock(&leg->mutex);
}

extern pj_status_t __real_pj_sock_sendto(pj_sock_t, const void *, pj_ssize_t *, unsigned, const pj_sockaddr_t *, int);
pj_status_t __wrap_pj_sock_sendto(pj_sock_t, const void *, pj_ssize_t *, unsigned, const pj_sockaddr_t *, int);

/* Every datagram of the library passes here. */
pj_status_t __wrap_pj_sock_sendto(pj_sock_t from, const void *datagram, pj_ssize_t *size, unsigned flags,
                                  const pj_sockaddr_t *to, int to_length)
{
    const pj_ssize_t wanted = *size;
    const pj_status_t status = __real_pj_sock_sendto(from, datagram, size, flags, to, to_length);
    struct leg *leg = from >= 0 && from < MAX_SOCKET ? atomic_load(&leg_of_socket[from]) : NULL;
    if (leg)
        tap_sent(leg, from, datagram, (size_t)wanted, status, *size == wanted, to);
    return status;
}

static void hand_down(const void *packet, size_t size)
{
    handing_down.packet = packet;
    handing_down.size = size;
}

static pj_status_t srtp_send_rtp(pjmedia_transport *srtp, const void *packet, pj_size_t size)
{
    struct leg *leg = LEG_OF(srtp, srtp_operations);
    handing_down.reached_socket = false;
    hand_down(packet, size);
    const pj_status_t status = srtp_library->send_rtp(srtp, packet, size);
    hand_down(NULL, 0);
    if (!handing_down.reached_socket) {
        pthread_mutex_lock(&leg->mutex);
        if (leg->srtp == srtp)
            count(leg, COUNT_RTP_HELD_BACK);
        pthread_mutex_unlock(&leg->mutex);
    }
    return status;
}

static pj_status_t srtp_send_rtcp(pjmedia_transport *srtp, const void *packet, pj_size_t size)
{
    hand_down(packet, size);
    const pj_status_t status = srtp_library->send_rtcp(srtp, packet, size);
    hand_down(NULL, 0);
    return status;
}

static pj_status_t srtp_send_rtcp2(pjmedia_transport *srtp, const pj_sockaddr_t *to, unsigned to_length,
                                   const void *packet, pj_size_t size)
{
    hand_down(packet, size);
    const pj_status_t status = srtp_library->send_rtcp2(srtp, to, to_length, packet, size);
    hand_down(NULL, 0);
    return status;
}

/* Below SRTP, so that no way out goes round it; what is told a success here counts as held back above. */
static pj_status_t udp_send_rtp(pjmedia_transport *udp, const void *packet, pj_size_t size)
{
    return LEG_OF(udp, udp_operations)->gate_open ? udp_library->send_rtp(udp, packet, size) : PJ_SUCCESS;
}

static pj_status_t udp_send_rtcp(pjmedia_transport *udp, const void *packet, pj_size_t size)
{
    return LEG_OF(udp, udp_operations)->gate_open ? udp_library->send_rtcp(udp, packet, size) : PJ_SUCCESS;
}

static pj_status_t udp_send_rtcp2(pjmedia_transport *udp, const pj_sockaddr_t *to, unsigned to_length,
                                  const void *packet, pj_size_t size)
{
    return LEG_OF(udp, udp_operations)->gate_open ? udp_library->send_rtcp2(udp, to, to_length, packet, size) : PJ_SUCCESS;
}

/* ================================================================ coming in: between socket and SRTP */

static bool same_source(int filter, const pj_sockaddr *wanted, const pj_sockaddr *source)
{
    if (filter != ADDRESS_ONLY)
        return pj_sockaddr_cmp(wanted, source) == 0;
    uint8_t one[16], other[16];
    const uint16_t family = address_bytes(wanted, one);
    return family && family == address_bytes(source, other) && memcmp(one, other, sizeof one) == 0;
}

/* The peer moved, and this was sent before: it is dropped like a stranger's packet, and counted as nobody's. */
static bool is_late(const struct leg *leg, const pj_sockaddr *last, const pj_sockaddr *source)
{
    return leg->changed_ns && now(CLOCK_BOOTTIME) - leg->changed_ns < STILL_ON_ITS_WAY &&
           pj_sockaddr_cmp(last, source) == 0;
}

static void count_foreign_rtp(struct leg *leg, const pj_sockaddr *source)
{
    if (leg->counters.of[COUNT_RTP_FOREIGN] == 0) {
        leg->counters.first_foreign.family = address_bytes(source, leg->counters.first_foreign.address);
        leg->counters.first_foreign.port = pj_sockaddr_get_port(source);
    }
    count(leg, COUNT_RTP_FOREIGN);
}

static void note_peer_ssrc(struct leg *leg, const uint8_t *packet, size_t size)
{
    if (size < RTP_HEADER)
        return;
    const uint32_t ssrc = (uint32_t)packet[8] << 24 | (uint32_t)packet[9] << 16 | (uint32_t)packet[10] << 8 | packet[11];
    leg->counters.peer_ssrc = leg->window.counters.peer_ssrc = ssrc;
    leg->counters.peer_ssrc_known = leg->window.counters.peer_ssrc_known = 1;
}

/* Counts it, and keeps what is foreign. True where it comes from the peer. */
static bool note_rtp(struct leg *leg, const pjmedia_tp_cb_param *packet, int filter)
{
    if (leg->peer_known && same_source(filter, &leg->peer_rtp, packet->src_addr)) {
        count(leg, COUNT_RTP_RECEIVED);
        note_peer_ssrc(leg, packet->pkt, (size_t)packet->size);
        return true;
    }
    if (is_late(leg, &leg->last_rtp, packet->src_addr))
        return false;
    const size_t size = (size_t)packet->size;
    count_foreign_rtp(leg, packet->src_addr);
    store(leg, RTP_FOREIGN, 0, 0, packet->src_addr,
          (struct stored){packet->pkt, size < RTP_HEADER ? size : RTP_HEADER, size});
    return false;
}

static void on_rtp(pjmedia_tp_cb_param *packet)
{
    struct leg *leg = packet->user_data;
    const int filter = rtp_filter;
    pjmedia_tp_cb_param passed_on = *packet;

    pthread_mutex_lock(&leg->mutex);
    bool welcome = packet->size <= 0 || note_rtp(leg, packet, filter) || filter == COUNT_ONLY; /* size <= 0: an error */
    rtp_callback *up = leg->rtp_up;
    rtp_callback2 *up2 = leg->rtp_up2;
    passed_on.user_data = leg->above;
    pthread_mutex_unlock(&leg->mutex);

    if (welcome && up2) {
        up2(&passed_on);
        packet->rem_switch = passed_on.rem_switch;
    } else if (welcome && up) {
        up(passed_on.user_data, packet->pkt, packet->size);
    }
}

/* RTCP is not handed its source: the UDP transport holds that of the packet it just read. This takes no lock. */
static void rtcp_source(pjmedia_transport *udp, pj_sockaddr *source)
{
    pjmedia_transport_info info;
    pjmedia_transport_info_init(&info);
    if (udp)
        udp_library->get_info(udp, &info);
    *source = info.src_rtcp_name;
}

struct rtcp_in { bool ours, late, pass_on; void *above; rtp_callback *up; pj_sockaddr source; };

/* What comes from the peer's address is the peer's, and kept, whatever port it left from: some send RTCP from a port that
 * their SDP does not name, and what a report says is judged by what it knows of us. It reaches the stream only from where
 * the SDP says: a stranger beside the peer cannot say goodbye in its name. */
static struct rtcp_in look_at_rtcp(struct leg *leg, pj_ssize_t size)
{
    const int filter = rtcp_filter;
    struct rtcp_in in = {0};
    bool expected = false;

    pthread_mutex_lock(&leg->mutex);
    if (size > 0) {
        rtcp_source(leg->udp, &in.source);
        in.ours = leg->peer_known && same_source(ADDRESS_ONLY, &leg->peer_rtcp, &in.source);
        expected = leg->peer_known && same_source(filter, &leg->peer_rtcp, &in.source);
        in.late = !in.ours && is_late(leg, &leg->last_rtcp, &in.source);
        if (!in.late)
            count(leg, in.ours ? COUNT_RTCP_RECEIVED : COUNT_RTCP_FOREIGN);
    }
    in.pass_on = leg->rtcp_up && (size <= 0 || expected || filter == COUNT_ONLY);
    in.above = leg->above;
    in.up = leg->rtcp_up;
    pthread_mutex_unlock(&leg->mutex);
    return in;
}

/* SRTP authenticates the packet and decrypts it in place: what changed under its hands was authentic. */
static void on_rtcp(void *user_data, void *packet, pj_ssize_t size)
{
    struct leg *leg = user_data;
    uint8_t on_the_wire[LARGEST_RTCP];
    const bool comparable = size > 0 && size <= LARGEST_RTCP;
    const struct rtcp_in in = look_at_rtcp(leg, size);

    if (comparable)
        memcpy(on_the_wire, packet, (size_t)size);
    if (in.pass_on)
        in.up(in.above, packet, size);
    if (size <= 0 || in.late)
        return;
    const unsigned flags = comparable && memcmp(on_the_wire, packet, (size_t)size) != 0 ? DECRYPTED : 0;
    pthread_mutex_lock(&leg->mutex);
    store(leg, in.ours ? RTCP_RECEIVED : RTCP_FOREIGN, flags, 0, &in.source,
          (struct stored){packet, (size_t)size, (size_t)size});
    pthread_mutex_unlock(&leg->mutex);
}

/* ================================================================ the life of a leg */

/* Where the peer's SDP wants RTP, and RTCP: the port above unless it says otherwise (RFC 3550 section 11). */
static void learn_peer(struct leg *leg, const pjmedia_transport_attach_param *asked)
{
    if (leg->peer_known && pj_sockaddr_cmp(&leg->peer_rtp, &asked->rem_addr) != 0) {
        leg->last_rtp = leg->peer_rtp;
        leg->last_rtcp = leg->peer_rtcp;
        leg->changed_ns = now(CLOCK_BOOTTIME);
    }
    leg->peer_known = pj_sockaddr_has_addr(&asked->rem_addr);
    pj_sockaddr_cp(&leg->peer_rtp, &asked->rem_addr);
    if (pj_sockaddr_has_addr(&asked->rem_rtcp)) {
        pj_sockaddr_cp(&leg->peer_rtcp, &asked->rem_rtcp);
        return;
    }
    pj_sockaddr_cp(&leg->peer_rtcp, &asked->rem_addr);
    if (leg->peer_known)
        pj_sockaddr_set_port(&leg->peer_rtcp, (pj_uint16_t)(pj_sockaddr_get_port(&asked->rem_addr) + 1));
}

static pj_status_t udp_attach2(pjmedia_transport *udp, pjmedia_transport_attach_param *asked)
{
    struct leg *leg = LEG_OF(udp, udp_operations);
    pjmedia_transport_attach_param ours = *asked;

    pthread_mutex_lock(&leg->mutex);
    leg->above = asked->user_data;
    leg->rtp_up = asked->rtp_cb;
    leg->rtp_up2 = asked->rtp_cb2;
    leg->rtcp_up = asked->rtcp_cb;
    learn_peer(leg, asked);
    count(leg, COUNT_PEER_ADDRESS);
    store_peer(leg);
    pthread_mutex_unlock(&leg->mutex);

    ours.rtp_cb = NULL;
    ours.rtp_cb2 = &on_rtp;
    ours.rtcp_cb = &on_rtcp;
    ours.user_data = leg;
    return udp_library->attach2(udp, &ours);
}

static void nobody_above(struct leg *leg)
{
    leg->above = NULL;
    leg->rtp_up = leg->rtcp_up = NULL;
    leg->rtp_up2 = NULL;
}

static void udp_detach(pjmedia_transport *udp, void *user_data)
{
    struct leg *leg = LEG_OF(udp, udp_operations);
    (void)user_data;
    pthread_mutex_lock(&leg->mutex);
    nobody_above(leg);
    pthread_mutex_unlock(&leg->mutex);
    udp_library->detach(udp, leg);
}

static void watch_socket(pj_sock_t number, struct leg *leg)
{
    if (number >= 0)
        atomic_store(&leg_of_socket[number], leg);
}

static void unwatch_socket(pj_sock_t number, struct leg *leg)
{
    if (number >= 0)
        atomic_compare_exchange_strong(&leg_of_socket[number], &leg, NULL);
}

/* NULL when all are taken. The registry is locked. */
static struct leg *take_place(void)
{
    if (places_touched < MAX_LEGS && free_count < RESTING)
        return &legs[places_touched++];
    if (free_count == 0)
        return NULL;
    struct leg *leg = &legs[free_places[first_free]];
    first_free = (first_free + 1) % MAX_LEGS;
    free_count--;
    return leg;
}

static void give_place_back(struct leg *leg)
{
    leg->in_use = false;
    free_places[(first_free + free_count++) % MAX_LEGS] = (int)(leg - legs);
}

/* Registry and leg are locked. */
static void bury(struct leg *leg)
{
    unwatch_socket(leg->rtp_socket, leg);
    unwatch_socket(leg->rtcp_socket, leg);
    count(leg, COUNT_LEG_GONE);
    store(leg, LEG_GONE, 0, 0, NULL, NO_PACKET);
    nobody_above(leg);
    leg->alive = false;
    leg->rtp_socket = leg->rtcp_socket = PJ_INVALID_SOCKET;
    leg->udp = leg->srtp = NULL;
    if (leg_of_call[leg->call][leg->media] == leg)
        leg_of_call[leg->call][leg->media] = NULL;
    if (!leg->window.held)
        give_place_back(leg);
}

/* Before the sockets close: the next to be opened may get their numbers. */
static pj_status_t udp_destroy(pjmedia_transport *udp)
{
    struct leg *leg = LEG_OF(udp, udp_operations);
    pthread_mutex_lock(&registry);
    pthread_mutex_lock(&leg->mutex);
    if (leg->udp == udp)
        bury(leg);
    pthread_mutex_unlock(&leg->mutex);
    pthread_mutex_unlock(&registry);
    return udp_library->destroy(udp);
}

/* Registry is locked. */
static void make_tables(struct leg *leg)
{
    if (!udp_library)
        udp_library = leg->udp->op;
    leg->udp_operations = *udp_library;
    leg->udp_operations.attach2 = &udp_attach2;
    leg->udp_operations.detach = &udp_detach;
    leg->udp_operations.destroy = &udp_destroy;
    leg->udp_operations.send_rtp = &udp_send_rtp;
    leg->udp_operations.send_rtcp = &udp_send_rtcp;
    leg->udp_operations.send_rtcp2 = &udp_send_rtcp2;
    leg->udp->op = &leg->udp_operations;
    if (!leg->srtp)
        return;
    if (!srtp_library)
        srtp_library = leg->srtp->op;
    leg->srtp_operations = *srtp_library;
    leg->srtp_operations.send_rtp = &srtp_send_rtp;
    leg->srtp_operations.send_rtcp = &srtp_send_rtcp;
    leg->srtp_operations.send_rtcp2 = &srtp_send_rtcp2;
    leg->srtp->op = &leg->srtp_operations;
}

struct transports { pjmedia_transport *udp, *srtp; pj_sock_t rtp_socket, rtcp_socket; };

/* What the leg sends through, where it is of the kind that can be tapped: UDP, with or without SRTP, no ICE.
 * An SRTP adapter bears the type of what is below it; only its information tells that it is there. */
static bool can_be_tapped(pjmedia_transport *top, struct transports *found)
{
    pjmedia_transport_info info;
    pjmedia_transport_info_init(&info);
    if (pjmedia_transport_get_info(top, &info) != PJ_SUCCESS)
        return false;
    bool srtp = pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_SRTP) != NULL;
    bool ice = pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_ICE) != NULL;
    found->srtp = srtp ? top : NULL;
    found->udp = srtp ? pjmedia_transport_srtp_get_member(top) : top;
    found->rtp_socket = info.sock_info.rtp_sock;
    found->rtcp_socket = info.sock_info.rtcp_sock;
    return !ice && found->udp && found->udp->type == PJMEDIA_TRANSPORT_TYPE_UDP && found->rtp_socket >= 0 &&
           found->rtp_socket < MAX_SOCKET && found->rtcp_socket < MAX_SOCKET;
}

/* We answered this call, and the other side has not acknowledged it. The library holds the call's lock. */
static bool waits_for_ack(int call)
{
    const pjsip_inv_session *session = pjsua_var.calls[call].inv;
    return session && session->role == PJSIP_ROLE_UAS && session->state != PJSIP_INV_STATE_CONFIRMED;
}

static void move_in(struct leg *leg, int call, int media, const struct transports *found)
{
    leg->in_use = leg->alive = true;
    leg->generation = (leg->generation + 1) & 0x7fff;
    leg->call = call;
    leg->media = media;
    leg->udp = found->udp;
    leg->srtp = found->srtp;
    leg->rtp_socket = found->rtp_socket;
    leg->rtcp_socket = found->rtcp_socket;
    leg->gate_open = !waits_for_ack(call);
    leg->peer_known = false;
    leg->changed_ns = 0;
    leg->reports_sent = 0;
    nobody_above(leg);
    memset(&leg->counters, 0, sizeof leg->counters);
    memset(&leg->window, 0, sizeof leg->window);
}

static void tap(int call, int media, const struct transports *found)
{
    pthread_mutex_lock(&registry);
    struct leg *leg = take_place();
    if (leg) {
        pthread_mutex_lock(&leg->mutex);
        move_in(leg, call, media, found);
        make_tables(leg);
        leg_of_call[call][media] = leg;
        watch_socket(leg->rtp_socket, leg);
        watch_socket(leg->rtcp_socket, leg);
        pthread_mutex_unlock(&leg->mutex);
    }
    pthread_mutex_unlock(&registry);
}

static bool in_table(int call, int media)
{
    return call >= 0 && call < PJSUA_MAX_CALLS && media >= 0 && media < PJSUA_MAX_CALL_MEDIA;
}

/* A leg that cannot be tapped is carried all the same: whoever opens a window on it is told that there is none. */
static pjmedia_transport *on_create_media_transport(pjsua_call_id call, unsigned media, pjmedia_transport *top,
                                                    unsigned flags)
{
    struct transports found;
    pjmedia_transport *used = next_in_line ? next_in_line(call, media, top, flags) : top;
    if (in_table(call, (int)media) && can_be_tapped(top, &found))
        tap(call, (int)media, &found);
    return used;
}

static void open_gates(int call)
{
    pthread_mutex_lock(&registry);
    for (int media = 0; media < PJSUA_MAX_CALL_MEDIA; media++)
        if (leg_of_call[call][media])
            leg_of_call[call][media]->gate_open = true;
    pthread_mutex_unlock(&registry);
}

static void on_call_state(pjsua_call_id call, pjsip_event *event)
{
    if (in_table(call, 0) && pjsua_var.calls[call].inv && !waits_for_ack(call))
        open_gates(call);
    if (next_to_know_state)
        next_to_know_state(call, event);
}

/* ================================================================ wire tap: what callers call */

EXPORT int callrec_face(void) { return FACE; }

/* Call legs that this build can carry; an application may have set itself fewer. */
EXPORT int callrec_most_calls(void) { return PJSUA_MAX_CALLS; }

/* Once, when the library is initialised and before the first call. */
EXPORT void callrec_tap_install(void)
{
    if (pjsua_var.ua_cfg.cb.on_create_media_transport == &on_create_media_transport)
        return;
    next_in_line = pjsua_var.ua_cfg.cb.on_create_media_transport;
    pjsua_var.ua_cfg.cb.on_create_media_transport = &on_create_media_transport;
    next_to_know_state = pjsua_var.ua_cfg.cb.on_call_state;
    pjsua_var.ua_cfg.cb.on_call_state = &on_call_state;
}

/* Of enum media_filter each; ADDRESS_AND_PORT until something else is said. */
EXPORT void callrec_media_filter(int rtp, int rtcp)
{
    rtp_filter = rtp;
    rtcp_filter = rtcp;
}

/* The most that all windows together may take. */
EXPORT void callrec_tap_memory_limit(uint64_t bytes)
{
    pthread_mutex_lock(&registry);
    memory_limit = bytes;
    pthread_mutex_unlock(&registry);
}

EXPORT uint64_t callrec_tap_memory(void)
{
    pthread_mutex_lock(&registry);
    const uint64_t used = memory_used;
    pthread_mutex_unlock(&registry);
    return used;
}

/* Places taken: legs alive, and windows held beyond their leg. */
EXPORT int callrec_tap_places(void)
{
    pthread_mutex_lock(&registry);
    const int taken = places_touched - free_count;
    pthread_mutex_unlock(&registry);
    return taken;
}

/* Since the leg came to be. 0, or NO_SUCH_LEG. */
EXPORT int callrec_leg_counters(int call, int media, struct counters *out)
{
    pthread_mutex_lock(&registry);
    struct leg *leg = in_table(call, media) ? leg_of_call[call][media] : NULL;
    if (leg) {
        pthread_mutex_lock(&leg->mutex);
        *out = leg->counters;
        pthread_mutex_unlock(&leg->mutex);
    }
    pthread_mutex_unlock(&registry);
    return leg ? 0 : NO_SUCH_LEG;
}

static int handle_of(const struct leg *leg) { return leg->generation << 16 | (int)(leg - legs + 1); }

/* The leg whose window has this handle, or NULL. The registry is locked. */
static struct leg *leg_of_handle(int handle)
{
    const int place = (handle & 0xffff) - 1;
    if (handle <= 0 || place < 0 || place >= MAX_LEGS)
        return NULL;
    struct leg *leg = &legs[place];
    return leg->in_use && leg->window.held && handle_of(leg) == handle ? leg : NULL;
}

/* The registry is locked. */
static int open_window(struct leg *leg, size_t room, bool reports_only)
{
    if (leg->window.held)
        return WINDOW_IS_OPEN;
    if (room == 0 || room > memory_limit || memory_used > memory_limit - room)
        return NO_MEMORY;
    uint8_t *records = malloc(room);
    if (!records)
        return NO_MEMORY;
    memory_used += room;
    pthread_mutex_lock(&leg->mutex);
    leg->window = (struct window){
        .records = records, .room = room, .open = true, .reports_only = reports_only, .held = true};
    store_peer(leg);
    store_earlier_reports(leg);
    pthread_mutex_unlock(&leg->mutex);
    return handle_of(leg);
}

static int start_window(int call, int media, uint64_t room, bool reports_only)
{
    pthread_mutex_lock(&registry);
    struct leg *leg = in_table(call, media) ? leg_of_call[call][media] : NULL;
    const int result = leg ? open_window(leg, room, reports_only) : NO_SUCH_LEG;
    pthread_mutex_unlock(&registry);
    return result;
}

/* Opens the one window a leg may have, for at most `room` bytes of records. A handle above 0, or enum refusal. Its memory
 * and place are taken until callrec_tap_take, also when the leg is gone before. */
EXPORT int callrec_tap_start(int call, int media, uint64_t room) { return start_window(call, media, room, false); }

/* The same, without RTP: it holds reports alone, whatever is spoken meanwhile. */
EXPORT int callrec_tap_start_reports(int call, int media, uint64_t room) { return start_window(call, media, room, true); }

/* Nothing is added from now on. Bytes of records held, or -1: no such handle. `out` may be NULL; of this window only. */
EXPORT int64_t callrec_tap_stop(int handle, struct counters *out)
{
    int64_t held = -1;
    pthread_mutex_lock(&registry);
    struct leg *leg = leg_of_handle(handle);
    if (leg) {
        pthread_mutex_lock(&leg->mutex);
        leg->window.open = false;
        held = (int64_t)leg->window.used;
        if (out) {
            *out = leg->window.counters;
            out->first_foreign = leg->counters.first_foreign;
        }
        pthread_mutex_unlock(&leg->mutex);
    }
    pthread_mutex_unlock(&registry);
    return held;
}

/* The registry is locked; out of the leg's hands, so that no packet waits while it is copied. */
static struct window take_window(struct leg *leg)
{
    pthread_mutex_lock(&leg->mutex);
    struct window taken = leg->window;
    memset(&leg->window, 0, sizeof leg->window);
    memory_used -= taken.room;
    if (!leg->alive)
        give_place_back(leg);
    pthread_mutex_unlock(&leg->mutex);
    return taken;
}

/* Copies the first `room` bytes out, and gives the window back. Bytes copied, or -1: no such handle. */
EXPORT int64_t callrec_tap_take(int handle, void *destination, uint64_t room)
{
    pthread_mutex_lock(&registry);
    struct leg *leg = leg_of_handle(handle);
    struct window taken = {0};
    if (leg)
        taken = take_window(leg);
    pthread_mutex_unlock(&registry);
    if (!leg)
        return -1;
    const size_t copied = taken.used < room ? taken.used : room;
    if (copied)
        memcpy(destination, taken.records, copied);
    free(taken.records);
    return (int64_t)copied;
}
