/* Callers and staff for a measurement: hundreds of calls through one system, audio both ways, from one cheap process.
 *
 * Each call: INVITE to the system, ACK, PCMA at 20 ms; the system plays its notice, dials us as staff, bridges. Caller
 * and staff of call n send a tone each; the pair is this call's alone, and every frame of a tone is the same 160 bytes,
 * so that one comparison says whether the right voice arrived, unchanged. All callers share one RTP socket, all staff
 * another; a stream is known by the port that the system sends it from. Times are the kernel's, taken when a packet was
 * delivered, so that our own waits are not counted as the system's. SIP over UDP as in RFC 3261 (17.1, 17.2: timers).
 *
 *   load key=value ...      see `options`; one line of JSON per call goes to `out`, a last line sums up
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 160, STEP = 40, PACKET = 172, SLOTS = 10, TICK_US = 2000, BATCH = 64, TONES = 30, MOST_CALLS = 60000 };
enum { NOTICE_FRAMES = 700, SIP_BYTES = 4000, FIELD = 300 };
enum { CALLER, STAFF };
enum { WAITING, INVITING, UP, ENDED };
#define T1 500000000LL
#define T2 4000000000LL
#define GIVE_UP (64 * T1)
#define SECOND 1000000000LL

/* ---------------------------------------------------------------- what is asked for */

static struct {
    char sip[64], dial[64], notice[512], out[512], flaw[32];
    int uac, uas, caller_rtp, staff_rtp, calls, at_once, seed, ring_ms;
    double rate, talk, limit, seconds, patience;
} ask = { .dial = "5000", .calls = 1, .rate = 1, .talk = 4, .limit = 60, .patience = 20, .ring_ms = 100 };

static const struct { const char *key; char kind; void *to; size_t size; } options[] = {
    { "sip", 's', ask.sip, sizeof ask.sip },             /* the system: address:port */
    { "dial", 's', ask.dial, sizeof ask.dial },          /* the number to call there */
    { "notice", 's', ask.notice, sizeof ask.notice },    /* its notice, raw A-law */
    { "out", 's', ask.out, sizeof ask.out },
    { "uac", 'i', &ask.uac, 0 }, { "uas", 'i', &ask.uas, 0 },                        /* our SIP ports */
    { "caller_rtp", 'i', &ask.caller_rtp, 0 }, { "staff_rtp", 'i', &ask.staff_rtp, 0 }, /* and for audio; +1 for RTCP */
    { "calls", 'i', &ask.calls, 0 }, { "rate", 'd', &ask.rate, 0 }, /* so many, at so many a second */
    { "talk", 'd', &ask.talk, 0 },                       /* seconds from the first word of staff to the caller's BYE */
    { "ring_ms", 'i', &ask.ring_ms, 0 },                 /* from 180 to 200 */
    { "patience", 'd', &ask.patience, 0 },               /* seconds beyond `talk` that a caller waits for staff */
    { "limit", 'd', &ask.limit, 0 },                     /* seconds after which all is given up */
    { "at_once", 'i', &ask.at_once, 0 },                 /* soak: keep so many calls up, for `seconds` */
    { "seconds", 'd', &ask.seconds, 0 }, { "seed", 'i', &ask.seed, 0 },
    { "flaw", 's', ask.flaw, sizeof ask.flaw },          /* self-test: `crossed` staff speak with another call's voice */
};

/* ---------------------------------------------------------------- calls */

struct stream {                /* audio that comes to us */
    uint32_t ssrc;
    uint16_t seq;
    int known, port;
    long got, lost, right;
    int64_t last_ns, gap_ns;
};

struct leg {
    int side, alive, ended, sending, held;
    char call_id[FIELD], local[FIELD], remote[FIELD], target[FIELD];
    int cseq;
    char request[SIP_BYTES], method[12];   /* our request, until its final response */
    int request_bytes, request_cseq, answered;
    int64_t request_at, request_gap, request_end;
    char ack[SIP_BYTES];
    int ack_bytes, ack_cseq;
    char ok[SIP_BYTES], via[2000];         /* our 200 to an INVITE, until its ACK */
    int ok_bytes, ok_cseq;
    int64_t ok_at, ok_gap, ok_end;
    struct sockaddr_in to;                 /* where our audio goes */
    uint16_t seq;
    uint32_t stamp, ssrc;
    struct stream in;
};

struct call {
    int n, state, status, retry_after, bridged, timed_out, holds, planned_hangup;
    struct leg leg[2];
    char uid[80], recording[80];
    unsigned char *heard;                  /* the first packets that the caller got */
    int64_t *heard_ns;
    int heard_frames;
    int64_t begun_ns, answered_ns, bridged_ns, invited_ns, bye_at, bye_ns, done_ns, ring_at;
    int64_t hold_at[2], resume_at;
    int hold_kind[2], hold_next, staff_hangs_up;
};

static struct call *calls[MOST_CALLS], *live[MOST_CALLS];
static struct leg *by_port[65536];
static struct call *call_of_port[65536];
static int lives, begun, up_now, most_up;
static int sip_fd[2], rtp_fd[2], rtcp_fd[2];
static struct sockaddr_in system_sip;
static unsigned char tone[2][TONES][2 * FRAME];
static unsigned char *notice;
static int notice_bytes;
static FILE *out;
static int64_t now_ns, all_bridged_ns, first_bye_ns, first_invite_ns, last_invite_ns;
static long sent_packets, send_failures;

static int64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static uint64_t dice_state;
static uint32_t dice(void)
{
    dice_state = dice_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return dice_state >> 33;
}
static double share(void) { return dice() / 2147483648.0; }

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---------------------------------------------------------------- tones (G.711 A-law) */

static unsigned char alaw(int pcm)
{
    int mask = pcm >= 0 ? 0xD5 : 0x55, segment = 0;
    int value = (pcm >= 0 ? pcm : -pcm - 1) >> 4;
    if (value > 0x7FF)
        value = 0x7FF;
    for (int top = value >> 4; top; top >>= 1)
        segment++;
    int low = segment < 2 ? value & 0x0F : (value >> (segment - 1)) & 0x0F;
    return (unsigned char)((segment << 4 | low) ^ mask);
}

/* Even multiples of 50 Hz for callers, odd ones for staff: a whole number of periods fits one frame. The phase keeps
 * every sample off zero. */
static int hertz(int side, int which) { return 500 + 100 * which + (side == STAFF ? 50 : 0); }
static int caller_tone(int n) { return n % TONES; }
static int staff_tone(int n) { return (n / TONES + 7 * n) % TONES; }

static void make_tones(void)
{
    for (int side = 0; side < 2; side++)
        for (int which = 0; which < TONES; which++)
            for (int i = 0; i < 2 * FRAME; i++)
                tone[side][which][i] = alaw((int)lrint(8000 * sin(2 * M_PI * (hertz(side, which) * i / 8000.0 + 1 / 320.0))));
}

static const unsigned char *voice(const struct call *c, int side)
{
    return side == CALLER ? tone[CALLER][caller_tone(c->n)] : tone[STAFF][staff_tone(c->n)];
}

static const unsigned char *spoken(const struct call *c, int side)
{
    if (side == STAFF && !strcmp(ask.flaw, "crossed"))
        return tone[STAFF][(staff_tone(c->n) + 1) % TONES];
    return voice(c, side);
}

/* ---------------------------------------------------------------- SIP text */

static void put(char *to, int *at, int size, const char *format, ...)
{
    va_list words;
    va_start(words, format);
    int n = vsnprintf(to + *at, size - *at, format, words);
    va_end(words);
    if (n > 0)
        *at = *at + n < size ? *at + n : size - 1;
}

static const char *header(const char *message, const char *name, int *length)
{
    size_t size = strlen(name);
    for (const char *line = strstr(message, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncmp(line, "\r\n", 2))
            return NULL;
        if (!strncasecmp(line, name, size) && line[size] == ':') {
            line += size + 1;
            while (*line == ' ')
                line++;
            const char *end = strstr(line, "\r\n");
            *length = end ? (int)(end - line) : (int)strlen(line);
            return line;
        }
    }
    return NULL;
}

static int copy_header(const char *message, const char *name, char *to, int size)
{
    int length = 0;
    const char *at = header(message, name, &length);
    if (!at)
        return *to = 0;
    snprintf(to, size, "%.*s", length, at);
    return 1;
}

static void all_vias(const char *message, char *to, int size)
{
    int at = 0;
    *to = 0;
    for (const char *line = strstr(message, "\r\nVia:"); line; line = strstr(line + 6, "\r\nVia:")) {
        const char *end = strstr(line + 2, "\r\n");
        put(to, &at, size, "%.*s\r\n", (int)(end - line - 2), line + 2);
    }
}

static void uri_of(const char *field, char *to, int size)
{
    const char *from = strchr(field, '<'), *end;
    from = from ? from + 1 : field;
    end = strpbrk(from, ">");
    snprintf(to, size, "%.*s", end ? (int)(end - from) : (int)strcspn(from, ";"), from);
}

static int own_port(int side) { return side == CALLER ? ask.uac : ask.uas; }
static int own_rtp(int side) { return side == CALLER ? ask.caller_rtp : ask.staff_rtp; }

static void put_sdp(char *to, int *at, int size, const struct leg *leg, const char *direction)
{
    char sdp[400];
    int n = 0;
    put(sdp, &n, sizeof sdp, "v=0\r\no=- %u %d IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=audio %d RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        "a=fmtp:101 0-15\r\na=ptime:20\r\na=%s\r\n", leg->ssrc, leg->cseq + 1, own_rtp(leg->side), direction);
    put(to, at, size, "Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", n, sdp);
}

static void send_sip(int side, const char *text, int length)
{
    sendto(sip_fd[side], text, length, 0, (struct sockaddr *)&system_sip, sizeof system_sip);
}

/* ---------------------------------------------------------------- our requests */

static void request(struct call *c, struct leg *leg, const char *method, const char *direction)
{
    int at = 0, size = SIP_BYTES;
    leg->cseq++;
    put(leg->request, &at, size, "%s %s SIP/2.0\r\n", method, leg->target);
    put(leg->request, &at, size, "Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%d.%d.%d.%d;rport\r\n", own_port(leg->side),
        getpid(), c->n, leg->side, leg->cseq);
    put(leg->request, &at, size, "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", leg->local,
        leg->remote, leg->call_id, leg->cseq, method);
    put(leg->request, &at, size, "Contact: <sip:7%06d@127.0.0.1:%d>\r\n", c->n, own_port(leg->side));
    if (direction)
        put_sdp(leg->request, &at, size, leg, direction);
    else
        put(leg->request, &at, size, "Content-Length: 0\r\n\r\n");
    snprintf(leg->method, sizeof leg->method, "%s", method);
    leg->request_bytes = at, leg->request_cseq = leg->cseq, leg->answered = 0;
    leg->request_gap = T1, leg->request_at = now_ns + T1, leg->request_end = now_ns + GIVE_UP;
    send_sip(leg->side, leg->request, at);
}

static void ack(struct leg *leg, const char *via_of_request, int cseq)
{
    int at = 0, size = SIP_BYTES;
    static int number;
    put(leg->ack, &at, size, "ACK %s SIP/2.0\r\n", leg->target);
    if (via_of_request)
        put(leg->ack, &at, size, "%s", via_of_request);
    else
        put(leg->ack, &at, size, "Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKack%d.%d;rport\r\n", own_port(leg->side), getpid(), ++number);
    put(leg->ack, &at, size, "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nContent-Length: 0\r\n\r\n",
        leg->local, leg->remote, leg->call_id, cseq);
    leg->ack_bytes = at, leg->ack_cseq = cseq;
    send_sip(leg->side, leg->ack, at);
}

static void stop_audio(struct leg *leg)
{
    leg->sending = 0;
    if (leg->in.port && by_port[leg->in.port] == leg)
        by_port[leg->in.port] = NULL;
}

static void leg_over(struct call *c, struct leg *leg)
{
    if (leg->alive && leg->side == CALLER)
        up_now--;
    leg->alive = 0, leg->ended = 1;
    stop_audio(leg);
    if (!c->done_ns)
        c->done_ns = now_ns;
}

static void hang_up(struct call *c, struct leg *leg)
{
    if (!leg->alive)
        return;
    if (!c->bye_ns)
        c->bye_ns = now_ns;
    if (!first_bye_ns)
        first_bye_ns = now_ns;
    leg_over(c, leg);
    request(c, leg, "BYE", NULL);
}

/* ---------------------------------------------------------------- their audio's address */

static void listen_to(struct call *c, struct leg *leg, const char *message)
{
    const char *m = strstr(message, "\r\nm=audio "), *at = strstr(message, "\r\nc=IN IP4 ");
    if (!m || !at)
        return;
    int port = atoi(m + 10);
    char address[40];
    snprintf(address, sizeof address, "%.*s", (int)strcspn(at + 11, "\r\n"), at + 11);
    if (leg->in.port && by_port[leg->in.port] == leg)
        by_port[leg->in.port] = NULL;
    leg->in.port = port & 0xFFFF;
    by_port[leg->in.port] = leg, call_of_port[leg->in.port] = c;
    leg->to.sin_family = AF_INET, leg->to.sin_port = htons(port);
    inet_pton(AF_INET, address, &leg->to.sin_addr);
}

/* ---------------------------------------------------------------- the caller's life */

static void plan_soak(struct call *c)
{
    c->planned_hangup = share() < 0.05;                    /* in the notice */
    double life = c->planned_hangup ? 1 + 3 * share() : 12 + 100 * share();
    c->bye_at = now_ns + (int64_t)(life * SECOND);
    c->staff_hangs_up = !c->planned_hangup && share() < 0.3;
    int holds = c->planned_hangup ? 0 : (int)(share() * 3);
    for (int i = 0; i < holds; i++) {
        c->hold_at[i] = now_ns + (int64_t)((8 + share() * life + 5 * i) * SECOND);
        c->hold_kind[i] = dice() & 1;
    }
    if (holds == 2 && c->hold_at[1] < c->hold_at[0])
        c->hold_at[1] = 0;
}

static void begin_call(void)
{
    struct call *c = calloc(1, sizeof *c);
    c->n = begun;
    calls[begun++] = live[lives++] = c;
    c->heard = malloc(NOTICE_FRAMES * FRAME);
    c->heard_ns = malloc(NOTICE_FRAMES * sizeof *c->heard_ns);
    c->state = INVITING, c->begun_ns = last_invite_ns = now_ns;
    if (!first_invite_ns)
        first_invite_ns = now_ns;
    struct leg *leg = &c->leg[CALLER];
    leg->side = CALLER, c->leg[STAFF].side = STAFF;
    for (int side = 0; side < 2; side++)
        c->leg[side].ssrc = dice(), c->leg[side].seq = dice() & 0x7FFF, c->leg[side].stamp = dice();
    snprintf(leg->call_id, FIELD, "%d.%d.%u@127.0.0.1", c->n, getpid(), leg->ssrc);
    snprintf(leg->local, FIELD, "<sip:7%06d@127.0.0.1:%d>;tag=c%d.%d", c->n, ask.uac, c->n, getpid());
    snprintf(leg->remote, FIELD, "<sip:%s@%s>", ask.dial, ask.sip);
    snprintf(leg->target, FIELD, "sip:%s@%s", ask.dial, ask.sip);
    request(c, leg, "INVITE", "sendrecv");
}

static void caller_answered(struct call *c, struct leg *leg)
{
    leg->alive = leg->sending = 1;
    c->state = UP, c->answered_ns = now_ns;
    if (++up_now > most_up)
        most_up = up_now;
    if (ask.at_once)
        plan_soak(c);
}

static void bridged(struct call *c)
{
    c->bridged = 1, c->bridged_ns = now_ns;
    if (!ask.at_once)
        c->bye_at = now_ns + (int64_t)(ask.talk * SECOND);
    static int count;
    if (++count == ask.calls)
        all_bridged_ns = now_ns;
}

static void response(struct call *c, struct leg *leg, const char *text)
{
    char cseq[60], contact[FIELD];
    int status = atoi(text + 8);
    copy_header(text, "CSeq", cseq, sizeof cseq);
    int number = atoi(cseq);
    int invite = strstr(cseq, "INVITE") != NULL;
    if (status == 200 && invite && number == leg->ack_cseq) {
        send_sip(leg->side, leg->ack, leg->ack_bytes);
        return;
    }
    if (number != leg->request_cseq || !leg->request_bytes)
        return;
    if (status < 200) {
        leg->answered = 1;
        return;
    }
    char via[400] = "", *first = strstr(leg->request, "Via:");
    snprintf(via, sizeof via, "%.*s", (int)(strstr(first, "\r\n") + 2 - first), first);
    leg->request_bytes = 0;
    if (!invite)
        return;
    if (status >= 300) {
        char to[FIELD];
        copy_header(text, "To", to, sizeof to);
        if (!leg->alive)
            snprintf(leg->remote, FIELD, "%s", to);
        ack(leg, via, number);
        if (c->state == INVITING) {
            c->status = status, c->state = ENDED, c->done_ns = now_ns, leg->ended = 1;
            int length;
            const char *wait = header(text, "Retry-After", &length);
            c->retry_after = wait ? atoi(wait) : 0;
        } else if (status == 491 || status == 500) {     /* RFC 3261 14.1: try again a little later */
            if (leg->held)
                leg->held = 0, c->hold_at[c->hold_next > 0 ? c->hold_next - 1 : 0] = 0;
            else
                c->resume_at = now_ns + SECOND;
        }
        return;
    }
    copy_header(text, "To", leg->remote, FIELD);
    if (copy_header(text, "Contact", contact, sizeof contact))
        uri_of(contact, leg->target, FIELD);
    listen_to(c, leg, text);
    ack(leg, NULL, number);
    leg->in.last_ns = 0;
    if (c->state == INVITING)
        c->status = 200, caller_answered(c, leg);
}

/* ---------------------------------------------------------------- requests to us */

static void reply(int side, const char *text, const char *status, const char *tag, struct leg *leg, const char *direction)
{
    char answer[SIP_BYTES], vias[2000], from[FIELD], to[FIELD], id[FIELD], cseq[60];
    int at = 0, size = sizeof answer;
    all_vias(text, vias, sizeof vias);
    copy_header(text, "From", from, sizeof from);
    copy_header(text, "To", to, sizeof to);
    copy_header(text, "Call-ID", id, sizeof id);
    copy_header(text, "CSeq", cseq, sizeof cseq);
    put(answer, &at, size, "SIP/2.0 %s\r\n%sFrom: %s\r\nTo: %s%s%s\r\nCall-ID: %s\r\nCSeq: %s\r\n", status, vias, from, to,
        strstr(to, ";tag=") ? "" : ";tag=", strstr(to, ";tag=") ? "" : tag, id, cseq);
    put(answer, &at, size, "Contact: <sip:staff@127.0.0.1:%d>\r\n", own_port(side));
    if (direction && leg) {
        put_sdp(answer, &at, size, leg, direction);
        memcpy(leg->ok, answer, at + 1);
        leg->ok_bytes = at, leg->ok_cseq = atoi(cseq);
        leg->ok_gap = T1, leg->ok_at = now_ns + T1, leg->ok_end = now_ns + GIVE_UP;
    } else {
        put(answer, &at, size, "Content-Length: 0\r\n\r\n");
    }
    send_sip(side, answer, at);
}

static void staff_invited(const char *text, int64_t at_ns)
{
    char from[FIELD], to[FIELD], contact[FIELD];
    copy_header(text, "From", from, sizeof from);
    const char *user = strstr(from, "sip:7");
    int n = user ? atoi(user + 5) : -1;
    struct call *c = n >= 0 && n < begun ? calls[n] : NULL;
    if (!c || c->leg[STAFF].alive) {
        reply(STAFF, text, c ? "100 Trying" : "404 Not Found", "s0", NULL, NULL);
        return;
    }
    struct leg *leg = &c->leg[STAFF];
    if (*leg->via) {
        reply(STAFF, text, "180 Ringing", "s", NULL, NULL);
        return;
    }
    char tag[24];
    snprintf(tag, sizeof tag, "s%d", n);
    c->invited_ns = at_ns;
    copy_header(text, "Call-ID", leg->call_id, FIELD);
    copy_header(text, "To", to, sizeof to);
    snprintf(leg->local, FIELD, "%.250s;tag=%s", to, tag);
    snprintf(leg->remote, FIELD, "%s", from);
    copy_header(text, "Contact", contact, sizeof contact);
    uri_of(contact, leg->target, FIELD);
    copy_header(text, "X-Callrec-Call", c->uid, sizeof c->uid);
    copy_header(text, "X-Callrec-Recording", c->recording, sizeof c->recording);
    listen_to(c, leg, text);
    snprintf(leg->via, sizeof leg->via, "%.1900s", text);     /* the INVITE, to answer it later */
    reply(STAFF, text, "180 Ringing", tag, leg, NULL);
    c->ring_at = now_ns + ask.ring_ms * 1000000LL;
}

static void staff_answers(struct call *c)
{
    struct leg *leg = &c->leg[STAFF];
    char tag[24];
    snprintf(tag, sizeof tag, "s%d", c->n);
    c->ring_at = 0;
    leg->alive = leg->sending = 1;
    reply(STAFF, leg->via, "200 OK", tag, leg, "sendrecv");
}

static struct leg *find_leg(int side, const char *call_id, struct call **whose)
{
    for (int i = 0; i < lives; i++)
        if (!strcmp(live[i]->leg[side].call_id, call_id)) {
            *whose = live[i];
            return &live[i]->leg[side];
        }
    return NULL;
}

static void other_hangs_up(struct call *c, struct leg *leg)
{
    if (!c->bye_ns)
        c->bye_ns = now_ns;
    leg_over(c, leg);
}

static void request_to_us(int side, struct call *c, struct leg *leg, const char *text, int64_t at_ns)
{
    char to[FIELD], tag[24] = "s0";
    copy_header(text, "To", to, sizeof to);
    if (c)
        snprintf(tag, sizeof tag, "s%d", c->n);
    int inside = strstr(to, ";tag=") != NULL;
    if (!strncmp(text, "INVITE ", 7) && !inside) {
        if (side == STAFF && (!leg || *leg->via))
            staff_invited(text, at_ns);
    } else if (!strncmp(text, "ACK ", 4)) {
        if (leg)
            leg->ok_bytes = 0;
    } else if (!strncmp(text, "CANCEL ", 7) && leg && !leg->alive) {
        reply(side, text, "200 OK", tag, NULL, NULL);
        reply(side, leg->via, "487 Request Terminated", tag, NULL, NULL);
        c->ring_at = 0;
        leg->ended = 1;
        stop_audio(leg);
    } else if (!strncmp(text, "BYE ", 4)) {
        reply(side, text, "200 OK", tag, NULL, NULL);
        if (leg && leg->alive)
            other_hangs_up(c, leg);
    } else if (leg && leg->alive && (!strncmp(text, "INVITE ", 7) || !strncmp(text, "UPDATE ", 7))) {
        int sdp = strstr(text, "m=audio") || !strncmp(text, "INVITE ", 7);
        const char *back = strstr(text, "a=sendonly") ? "recvonly" : strstr(text, "a=inactive") ? "inactive" : "sendrecv";
        listen_to(c, leg, text);
        leg->in.last_ns = 0;
        reply(side, text, "200 OK", tag, leg, sdp ? back : NULL);
        if (!strncmp(text, "UPDATE ", 7))
            leg->ok_bytes = 0;
    } else {
        reply(side, text, leg || !strncmp(text, "OPTIONS ", 8) ? "200 OK" : "481 No Dialog", tag, NULL, NULL);
    }
}

static int64_t kernel_time(struct msghdr *m)
{
    for (struct cmsghdr *one = CMSG_FIRSTHDR(m); one; one = CMSG_NXTHDR(m, one))
        if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(one), sizeof t);
            return t.tv_sec * SECOND + t.tv_nsec;
        }
    return now_ns;
}

static void hear_sip(int side)
{
    static char text[65536];
    char control[128], id[FIELD];
    for (;;) {
        struct iovec iov = { text, sizeof text - 1 };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        ssize_t n = recvmsg(sip_fd[side], &m, MSG_DONTWAIT);
        if (n < 0)
            return;
        text[n] = 0;
        struct call *c = NULL;
        if (n < 20 || !copy_header(text, "Call-ID", id, sizeof id))
            continue;
        struct leg *leg = find_leg(side, id, &c);
        if (!strncmp(text, "SIP/2.0 ", 8)) {
            if (leg)
                response(c, leg, text);
        } else {
            request_to_us(side, c, leg, text, kernel_time(&m));
        }
    }
}

/* ---------------------------------------------------------------- audio */

static void hear_packet(struct call *c, struct leg *leg, const unsigned char *packet, int bytes, int64_t at_ns)
{
    struct stream *in = &leg->in;
    if (bytes != PACKET || (packet[1] & 0x7F) != 8)
        return;
    uint16_t seq = packet[2] << 8 | packet[3];
    uint32_t ssrc = (uint32_t)packet[8] << 24 | packet[9] << 16 | packet[10] << 8 | packet[11];
    if (in->known && in->ssrc == ssrc) {
        int16_t step = (int16_t)(seq - in->seq);
        if (step <= 0)
            return;
        in->lost += step - 1;
    }
    in->known = 1, in->ssrc = ssrc, in->seq = seq;
    in->got++;
    int right = 0;
    for (int step = 0; step < FRAME && !right; step += STEP)   /* an engine may work in steps shorter than a packet */
        right = !memcmp(packet + 12, voice(c, !leg->side) + step, FRAME);
    in->right += right;
    if (leg->side == CALLER && right && !c->bridged)
        bridged(c), in->last_ns = 0;
    if (leg->side == CALLER && !c->bridged && c->heard_frames < NOTICE_FRAMES) {
        memcpy(c->heard + c->heard_frames * FRAME, packet + 12, FRAME);
        c->heard_ns[c->heard_frames++] = at_ns;
    }
    if (leg->side == STAFF && in->right == 1 && right)
        in->last_ns = 0;
    if (in->last_ns && (c->bridged && in->right) && at_ns - in->last_ns > in->gap_ns && !leg->held)
        in->gap_ns = at_ns - in->last_ns;
    in->last_ns = at_ns;
}

static void hear_audio(int side)
{
    static unsigned char data[BATCH][256];
    static char control[BATCH][64];
    static struct mmsghdr m[BATCH];
    static struct iovec iov[BATCH];
    static struct sockaddr_in from[BATCH];
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){ data[i], sizeof data[i] };
            m[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &iov[i],
                .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof control[i] };
        }
        int n = recvmmsg(rtp_fd[side], m, BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0)
            return;
        for (int i = 0; i < n; i++) {
            struct leg *leg = by_port[ntohs(from[i].sin_port)];
            if (leg && leg->side == side)
                hear_packet(call_of_port[ntohs(from[i].sin_port)], leg, data[i], m[i].msg_len, kernel_time(&m[i].msg_hdr));
        }
        if (n < BATCH)
            return;
    }
}

static void speak(int side, int slot)
{
    static unsigned char head[BATCH][12];
    static struct mmsghdr m[BATCH];
    static struct iovec iov[BATCH][2];
    int n = 0;
    for (int i = 0; i <= lives; i++) {
        struct call *c = i < lives ? live[i] : NULL;
        struct leg *leg = c && c->n % SLOTS == slot ? &c->leg[side] : NULL;
        if (leg && leg->sending && leg->to.sin_port) {
            unsigned char *h = head[n];
            uint32_t stamp = htonl(leg->stamp), ssrc = htonl(leg->ssrc);
            h[0] = 0x80, h[1] = 8, h[2] = leg->seq >> 8, h[3] = leg->seq & 0xFF;
            memcpy(h + 4, &stamp, 4), memcpy(h + 8, &ssrc, 4);
            leg->seq++, leg->stamp += FRAME;
            iov[n][0] = (struct iovec){ h, 12 };
            iov[n][1] = (struct iovec){ (void *)spoken(c, side), FRAME };
            m[n].msg_hdr = (struct msghdr){ .msg_name = &leg->to, .msg_namelen = sizeof leg->to, .msg_iov = iov[n],
                .msg_iovlen = 2 };
            n++;
        }
        if (n == BATCH || (i == lives && n)) {
            int done = sendmmsg(rtp_fd[side], m, n, 0);
            sent_packets += done > 0 ? done : 0;
            send_failures += n - (done > 0 ? done : 0);
            n = 0;
        }
    }
}

/* ---------------------------------------------------------------- time */

static void again(int side, const char *text, int bytes, int64_t *at, int64_t *gap)
{
    send_sip(side, text, bytes);
    *gap = *gap * 2 < T2 ? *gap * 2 : T2;
    *at = now_ns + *gap;
}

static void leg_timers(struct call *c, struct leg *leg)
{
    if (leg->request_bytes && now_ns > leg->request_end) {
        leg->request_bytes = 0, c->timed_out = 1;
        if (c->state == INVITING)
            c->state = ENDED, c->done_ns = now_ns, leg->ended = 1;
    } else if (leg->request_bytes && !leg->answered && now_ns >= leg->request_at) {
        again(leg->side, leg->request, leg->request_bytes, &leg->request_at, &leg->request_gap);
    }
    if (leg->ok_bytes && now_ns > leg->ok_end)
        leg->ok_bytes = 0, c->timed_out = 1;
    else if (leg->ok_bytes && now_ns >= leg->ok_at)
        again(leg->side, leg->ok, leg->ok_bytes, &leg->ok_at, &leg->ok_gap);
}

static void hold_timers(struct call *c)
{
    struct leg *leg = &c->leg[CALLER];
    if (!leg->alive || leg->request_bytes)
        return;
    if (c->resume_at && now_ns >= c->resume_at) {
        c->resume_at = 0, leg->held = 0, leg->sending = 1;
        request(c, leg, "INVITE", "sendrecv");
    } else if (!leg->held && c->hold_next < 2 && c->hold_at[c->hold_next] && now_ns >= c->hold_at[c->hold_next]) {
        int kind = c->hold_kind[c->hold_next++];
        leg->held = 1, c->holds++, leg->sending = !kind;
        c->resume_at = now_ns + SECOND + dice() % (3 * SECOND);
        request(c, leg, "INVITE", kind ? "inactive" : "sendonly");
    }
}

static void call_timers(struct call *c)
{
    struct leg *caller = &c->leg[CALLER], *staff = &c->leg[STAFF];
    leg_timers(c, caller);
    leg_timers(c, staff);
    if (c->ring_at && now_ns >= c->ring_at)
        staff_answers(c);
    if (ask.at_once)
        hold_timers(c);
    if (c->bye_at && now_ns >= c->bye_at) {
        if (caller->request_bytes)                       /* a re-INVITE is under way */
            return;
        c->bye_at = 0;
        hang_up(c, c->staff_hangs_up && staff->alive ? staff : caller);
    }
    if (c->bye_ns && now_ns > c->bye_ns + 5 * SECOND) {   /* the other side was left behind */
        hang_up(c, caller);
        hang_up(c, staff);
    }
    if (c->answered_ns && !c->bridged && !ask.at_once && !c->bye_ns
        && now_ns > c->answered_ns + (int64_t)((ask.patience + ask.talk) * SECOND))
        hang_up(c, caller);
}

static int finished(const struct call *c)
{
    const struct leg *caller = &c->leg[CALLER], *staff = &c->leg[STAFF];
    return c->done_ns && !caller->alive && !staff->alive && now_ns > c->done_ns + 2 * SECOND;
}

/* ---------------------------------------------------------------- reports */

static void report(struct call *c)
{
    const unsigned char *found = c->heard_frames && notice_bytes
        ? memmem(c->heard, (size_t)c->heard_frames * FRAME, notice, notice_bytes) : NULL;
    double dial_ms = -1;
    if (found && c->invited_ns)
        dial_ms = (c->invited_ns - c->heard_ns[(found - c->heard + notice_bytes - 1) / FRAME]) / 1e6;
    const struct stream *heard = &c->leg[CALLER].in, *staff = &c->leg[STAFF].in;
    double talked = c->bridged_ns && c->bye_ns ? (c->bye_ns - c->bridged_ns) / 1e9 : 0;
    fprintf(out, "{\"n\": %d, \"uid\": \"%s\", \"recording\": \"%s\", \"status\": %d, \"retry_after\": %d, \"caller_hz\": %d, "
        "\"staff_hz\": %d, \"whole_notice\": %s, \"bridged\": %s, \"talked_s\": %.3f, \"dial_ms\": %.3f, "
        "\"caller_got\": %ld, \"caller_right\": %ld, \"staff_got\": %ld, \"staff_right\": %ld, \"lost\": %ld, "
        "\"caller_gap_ms\": %.2f, \"staff_gap_ms\": %.2f, \"holds\": %d, \"timed_out\": %s, \"setup_s\": %.3f}\n",
        c->n, c->uid, c->recording, c->status, c->retry_after, hertz(CALLER, caller_tone(c->n)),
        hertz(STAFF, staff_tone(c->n)), found ? "true" : "false", c->bridged ? "true" : "false", talked, dial_ms, heard->got,
        heard->right, staff->got, staff->right, heard->lost + staff->lost, heard->gap_ns / 1e6, staff->gap_ns / 1e6, c->holds,
        c->timed_out ? "true" : "false", c->answered_ns ? (c->answered_ns - c->begun_ns) / 1e9 : -1);
}

static void put_away(int index)
{
    struct call *c = live[index];
    report(c);
    for (int side = 0; side < 2; side++)
        stop_audio(&c->leg[side]);
    calls[c->n] = NULL;
    live[index] = live[--lives];
    free(c->heard), free(c->heard_ns), free(c);
}

static long drops(int fd)
{
    uint32_t info[16];
    socklen_t size = sizeof info;
    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0 ? (long)info[8] : -1;    /* SK_MEMINFO_DROPS */
}

static void sum_up(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    fprintf(out, "{\"summary\": true, \"begun\": %d, \"most_up\": %d, \"first_invite\": %.3f, \"last_invite\": %.3f, "
        "\"all_bridged\": %.3f, \"first_bye\": %.3f, \"ended\": %.3f, \"own_drops\": %ld, \"send_failures\": %ld, \"sent\": %ld, "
        "\"own_cpu_s\": %.3f}\n", begun, most_up, first_invite_ns / 1e9, last_invite_ns / 1e9, all_bridged_ns / 1e9,
        first_bye_ns / 1e9, now_ns / 1e9, drops(rtp_fd[0]) + drops(rtp_fd[1]) + drops(sip_fd[0]) + drops(sip_fd[1]),
        send_failures, sent_packets, used.ru_utime.tv_sec + used.ru_stime.tv_sec
        + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
}

/* ---------------------------------------------------------------- start */

static int open_socket(int port, int buffer)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at))
        die("a port is taken");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    return fd;
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t at, count = sizeof options / sizeof *options;
        if (!value)
            die(argv[i]);
        for (at = 0; at < count; at++)
            if (strlen(options[at].key) == (size_t)(value - argv[i]) && !strncmp(options[at].key, argv[i], value - argv[i]))
                break;
        if (at == count)
            die(argv[i]);
        if (options[at].kind == 's')
            snprintf(options[at].to, options[at].size, "%s", value + 1);
        else if (options[at].kind == 'i')
            *(int *)options[at].to = atoi(value + 1);
        else
            *(double *)options[at].to = atof(value + 1);
    }
}

static void read_notice(void)
{
    FILE *file = fopen(ask.notice, "rb");
    notice = malloc(NOTICE_FRAMES * FRAME);
    if (!file)
        die(ask.notice);
    notice_bytes = (int)fread(notice, 1, NOTICE_FRAMES * FRAME, file);
    fclose(file);
}

static void open_all(void)
{
    char host[64];
    snprintf(host, sizeof host, "%s", ask.sip);
    char *port = strchr(host, ':');
    if (!port)
        die("sip");
    *port++ = 0;
    system_sip = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
    inet_pton(AF_INET, host, &system_sip.sin_addr);
    for (int side = 0; side < 2; side++) {
        sip_fd[side] = open_socket(own_port(side), 8 << 20);
        rtp_fd[side] = open_socket(own_rtp(side), 16 << 20);
        rtcp_fd[side] = open_socket(own_rtp(side) + 1, 4096);   /* their RTCP has a place to go, and is not read */
    }
    if (!(out = fopen(ask.out, "w")))
        die(ask.out);
}

static int want_call(int64_t start_ns)
{
    if (begun >= MOST_CALLS)
        return 0;
    if (ask.at_once) {
        int inside = now_ns < start_ns + (int64_t)(ask.seconds * SECOND), now_up = 0;
        for (int i = 0; i < lives; i++)
            now_up += live[i]->state == INVITING || live[i]->leg[CALLER].alive;
        return inside && now_up < ask.at_once && begun < (now_ns - start_ns) / 1e9 * ask.rate;
    }
    return begun < ask.calls && now_ns >= start_ns + (int64_t)(begun / ask.rate * SECOND);
}

static int over(int64_t start_ns)
{
    int all = ask.at_once ? now_ns > start_ns + (int64_t)(ask.seconds * SECOND) : begun == ask.calls;
    return (all && !lives) || now_ns > start_ns + (int64_t)(ask.limit * SECOND);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    dice_state = 0x9E3779B97F4A7C15ULL ^ (uint64_t)ask.seed;
    make_tones();
    read_notice();
    open_all();
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    int64_t start_ns = now_ns = clock_now();
    for (unsigned tick = 0; !over(start_ns); tick++) {
        now_ns = clock_now();
        for (int side = 0; side < 2; side++)
            speak(side, tick % SLOTS);
        hear_sip(CALLER);
        hear_sip(STAFF);
        if (tick % 5 == 0) {
            for (int side = 0; side < 2; side++)
                hear_audio(side);
            for (int i = 0; i < lives; i++)
                call_timers(live[i]);
            for (int i = lives - 1; i >= 0; i--)
                if (finished(live[i]))
                    put_away(i);
        }
        if (want_call(start_ns))
            begin_call();
        next.tv_nsec += TICK_US * 1000;
        if (next.tv_nsec >= SECOND)
            next.tv_nsec -= SECOND, next.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    while (lives)
        put_away(lives - 1);
    sum_up();
    fclose(out);
    return 0;
}
