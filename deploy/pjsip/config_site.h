/* Settings of the SIP library for callrec's engine. README.md beside this file gives the reasons. */

/* what one process may carry */
#define PJSUA_MAX_CALLS          1024
#define PJSUA_MAX_CONF_PORTS     4096
#define PJSUA_MAX_PLAYERS        1024
#define PJSUA_MAX_RECORDERS      2048
#define PJSUA_MAX_ACC            64
#define PJ_IOQUEUE_MAX_HANDLES   4096
#define PJSIP_MAX_TSX_COUNT      ((64 * 1024) - 1)
#define PJSIP_MAX_DIALOG_COUNT   ((64 * 1024) - 1)
#define PJSIP_MAX_NET_EVENTS     10
#define PJSIP_MAX_URL_SIZE       512
#define PJSIP_MAX_PKT_LEN        16000
#define PJ_IOQUEUE_DEFAULT_EPOLL_FLAGS 0       /* one thread waits at each queue; engine_wait.c relies on it */

/* media */
#define PJMEDIA_CONF_BACKEND     1      /* the serial bridge */
#define PJMEDIA_CONF_USE_AGC     0
#define PJMEDIA_HAS_SPEEX_AEC    0
#define PJMEDIA_HAS_SRTP         1
#define PJMEDIA_HAS_VIDEO        0
#define PJSUA_HAS_VIDEO          0

/* network */
#define PJ_HAS_IPV6              1
#define PJMEDIA_TRANSPORT_SWITCH_REMOTE_ADDR 0
#define PJSIP_SSL_DEFAULT_PROTO  (PJ_SSL_SOCK_PROTO_TLS1_2 | PJ_SSL_SOCK_PROTO_TLS1_3)
