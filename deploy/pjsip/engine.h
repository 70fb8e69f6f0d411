/* What the two halves of callrec's additions share, and the face they show. SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CALLREC_ENGINE_H
#define CALLREC_ENGINE_H

#include <pjsua-lib/pjsua.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    FACE = 4,           /* changes with every change to what is declared here */
    MAX_NETWORKS = 256  /* in the SIP source filter */
};

/* ================================================================ the face: what callers read and pass */

/* A window is a sequence of records, each followed by `packet_bytes` bytes: 56 + packet_bytes == size. Native byte
 * order, no padding, not aligned.
 *
 *   offset  bytes  field
 *        0      4  size           of the whole record
 *        4      2  kind           enum record_kind
 *        6      2  flags          enum record_flag
 *        8      4  status         the library's, signed; 0: the kernel took the datagram
 *       12      4  wire_bytes     length of the datagram on the wire
 *       16      8  utc_ns         CLOCK_REALTIME, after the kernel answered
 *       24      8  boottime_ns    CLOCK_BOOTTIME, at the same moment
 *       32      2  family         4, 6, or 0: no address
 *       34      2  port           of the destination when sent, of the source when received
 *       36     16  address        network order, IPv4 in the first four
 *       52      4  packet_bytes
 */
struct record {
    uint32_t size;
    uint16_t kind, flags;
    int32_t status;
    uint32_t wire_bytes;
    uint64_t utc_ns, boottime_ns;
    uint16_t family, port;
    uint8_t address[16];
    uint32_t packet_bytes;
};
_Static_assert(sizeof(struct record) == 56 && offsetof(struct record, packet_bytes) == 52, "the layout above is a promise");

enum record_kind {
    RTP_SENT = 1,   /* the kernel took it */
    RTP_REFUSED,    /* the kernel did not; with EAGAIN the library tries again, and an RTP_SENT follows */
    RTCP_SENT,      /* taken or not: status */
    RTCP_RECEIVED,  /* from the address in the peer's SDP, any port; without DECRYPTED on an SRTP leg: not authentic */
    RTP_FOREIGN,    /* from elsewhere: its header */
    RTCP_FOREIGN,   /* from elsewhere, whole */
    PEER_ADDRESS,   /* where RTP goes from now on; the first record of a window, family 0 when still unknown */
    LEG_GONE        /* the last record of a leg whose sockets were closed */
};

enum record_flag {
    DECRYPTED = 1,  /* the wire carried SRTP; stored is the packet in the clear */
    DEFERRED = 2,   /* left later, from the library's queue: stored as it left, on an SRTP leg encrypted */
    EARLIER = 4     /* an RTCP_SENT from before the window, at the time it left: a peer's report may refer to it */
};

enum counter {
    COUNT_RTP_SENT, COUNT_RTP_REFUSED,
    COUNT_RTP_HELD_BACK,    /* reported as sent, but no datagram left: before the ACK, and wherever the library dropped it */
    COUNT_RTCP_SENT, COUNT_RTP_RECEIVED, COUNT_RTCP_RECEIVED, COUNT_RTP_FOREIGN, COUNT_RTCP_FOREIGN,
    COUNT_PEER_ADDRESS, COUNT_LEG_GONE,
    COUNT_OVERFLOW,         /* records for which the window had no room: what it shows is not whole */
    COUNTS
};

struct counters {
    uint64_t of[COUNTS];
    struct { uint16_t family, port; uint8_t address[16]; uint32_t unused; } first_foreign; /* source of the first foreign RTP */
    uint32_t peer_ssrc_known, peer_ssrc;    /* of the newest RTP from the peer's address; known: 0 or 1 */
};
_Static_assert(sizeof(struct counters) == 8 * COUNTS + 32, "no padding");

enum media_filter { COUNT_ONLY, ADDRESS_AND_PORT, ADDRESS_ONLY };

enum refusal { NO_SUCH_LEG = -1, WINDOW_IS_OPEN = -2, NO_MEMORY = -3 };

struct network { uint8_t family, bits, address[16]; }; /* family 4 or 6 */

struct sip_counters { uint64_t requests, strangers, invites_taken, invites_beyond_rate, stray_responses; };

/* ================================================================ shared inside */

/* 4, 6 or 0: none. IPv4 inside IPv6 is IPv4, so that a socket for both gives one answer. */
uint16_t address_bytes(const pj_sockaddr *from, uint8_t address[16]);

/* nanoseconds */
uint64_t now(clockid_t clock);

#endif
