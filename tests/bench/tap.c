/* What the engine's own code costs for each packet: the wire tap and the media source filter as they are built, around
 * transports and a socket that do nothing. SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Printed are nanoseconds of this thread's CPU for each packet, with and without the tap in between, and what the tap
 * laid down of them, so that nobody measures a tap that slept. tests/bench/tap.py compiles and reads this.
 */
#include "../../deploy/pjsip/engine_tap.c"

#include <stdio.h>

enum { PACKET = 172, LEGS = 600, FIRST_SOCKET = 100, PACKETS_IN_WINDOW = 1000, ROOM = 1 << 18 };

/* ---------------------------------------------------------------- stand-ins for what is above and below */

static volatile uint64_t reached; /* so that nothing is left out by the compiler */

pj_status_t __real_pj_sock_sendto(pj_sock_t from, const void *packet, pj_ssize_t *size, unsigned flags, const pj_sockaddr_t *to, int length)
{
    (void)from, (void)packet, (void)size, (void)flags, (void)to, (void)length;
    reached++;
    return PJ_SUCCESS;
}

static pj_status_t (*volatile socket_send)(pj_sock_t, const void *, pj_ssize_t *, unsigned, const pj_sockaddr_t *, int);
static pj_sockaddr peer;
static pjmedia_transport udp[LEGS], srtp[LEGS];

static pj_status_t udp_send(pjmedia_transport *transport, const void *packet, pj_size_t size)
{
    pj_ssize_t left = (pj_ssize_t)size;
    return socket_send(FIRST_SOCKET + 2 * (transport - udp), packet, &left, 0, &peer, sizeof peer.ipv4);
}

static pj_status_t srtp_send(pjmedia_transport *transport, const void *packet, pj_size_t size)
{
    pjmedia_transport *below = &udp[transport - srtp];
    return below->op->send_rtp(below, packet, size);
}

static void taken_up(pjmedia_tp_cb_param *packet)
{
    (void)packet;
    reached++;
}

static struct pjmedia_transport_op plain_udp = {.send_rtp = &udp_send}, plain_srtp = {.send_rtp = &srtp_send};

/* ---------------------------------------------------------------- measuring */

static double cpu_ns(void) { return (double)now(CLOCK_THREAD_CPUTIME_ID); }

static uint8_t packet[PACKET] = {0x80, 8};

static void number(unsigned sequence)
{
    packet[2] = (uint8_t)(sequence >> 8);
    packet[3] = (uint8_t)sequence;
}

/* Leg after leg, as the bridge has them: what one leg needs has left the nearest memory when its next turn comes. */
static double ns_of_sending(unsigned packets, unsigned legs_in_turn)
{
    const double began = cpu_ns();
    for (unsigned i = 0; i < packets; i++) {
        pjmedia_transport *top = &srtp[i % legs_in_turn];
        number(i);
        top->op->send_rtp(top, packet, sizeof packet);
    }
    return (cpu_ns() - began) / packets;
}

static double ns_of_receiving(rtp_callback2 *volatile into, unsigned packets)
{
    pjmedia_tp_cb_param in = {.pkt = packet, .size = sizeof packet, .src_addr = &peer};
    const double began = cpu_ns();
    for (unsigned i = 0; i < packets; i++) {
        in.user_data = leg_of_call[i % LEGS][0];
        number(i);
        into(&in);
    }
    return (cpu_ns() - began) / packets;
}

/* Window after window, as a notice has them; opening and taking one costs as well. */
static double ns_of_sending_in_windows(unsigned windows, uint64_t *kept)
{
    static uint8_t taken[ROOM];
    const double began = cpu_ns();
    *kept = 0;
    for (unsigned i = 0; i < windows; i++) {
        const int handle = callrec_tap_start(0, 0, ROOM);
        struct counters seen;
        ns_of_sending(PACKETS_IN_WINDOW, 1);
        callrec_tap_stop(handle, &seen);
        callrec_tap_take(handle, taken, sizeof taken);
        *kept += seen.of[COUNT_RTP_SENT] - seen.of[COUNT_OVERFLOW];
    }
    return (cpu_ns() - began) / ((double)windows * PACKETS_IN_WINDOW);
}

static void put_tap_between(void)
{
    for (int i = 0; i < LEGS; i++) {
        const pj_sock_t rtp = FIRST_SOCKET + 2 * i;
        tap(i, 0, &(struct transports){.udp = &udp[i], .srtp = &srtp[i], .rtp_socket = rtp, .rtcp_socket = rtp + 1});
        struct leg *leg = leg_of_call[i][0];
        leg->gate_open = true;
        leg->rtp_up2 = &taken_up;
        learn_peer(leg, &(pjmedia_transport_attach_param){.rem_addr = peer});
    }
    socket_send = &__wrap_pj_sock_sendto;
}

static unsigned long long seen_by_all(enum counter which)
{
    unsigned long long seen = 0;
    for (int i = 0; i < LEGS; i++)
        seen += leg_of_call[i][0]->counters.of[which];
    return seen;
}

int main(int argc, char **argv)
{
    const unsigned packets = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
    static pjsua_call nobody[LEGS];
    uint64_t kept;

    pjsua_var.calls = nobody;
    pj_sockaddr_init(pj_AF_INET(), &peer, NULL, 9000);
    peer.ipv4.sin_addr.s_addr = 0x0100007f;
    for (int i = 0; i < LEGS; i++) {
        udp[i].op = &plain_udp;
        srtp[i].op = &plain_srtp;
    }
    socket_send = &__real_pj_sock_sendto;
    const double bare_out = ns_of_sending(packets, LEGS), bare_in = ns_of_receiving(&taken_up, packets);

    put_tap_between();
    const double out = ns_of_sending(packets, LEGS), in = ns_of_receiving(&on_rtp, packets);
    const double out_kept = ns_of_sending_in_windows(packets / PACKETS_IN_WINDOW, &kept);

    printf("{\"packets\": %u, \"bare_sent_ns\": %.1f, \"bare_received_ns\": %.1f, \"sent_ns\": %.1f, \"received_ns\": %.1f, "
           "\"sent_in_window_ns\": %.1f, \"seen_sent\": %llu, \"seen_received\": %llu, \"kept\": %llu}\n",
           packets, bare_out, bare_in, out, in, out_kept, seen_by_all(COUNT_RTP_SENT), seen_by_all(COUNT_RTP_RECEIVED),
           (unsigned long long)kept);
    return 0;
}
