/* Waiting for packets without a word to the kernel before and after each.
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The library's queue of sockets takes a socket out of the kernel's set when a packet was read from it, and puts it back
 * when the next read was begun: two system calls for every packet, and a fifth of what a recorded call took. But one
 * thread waits at each queue, and begins the next read before it waits again. So the kernel is not told that a socket is
 * not read just now. It is told once something comes for one that nobody reads: at the next wait, before the library
 * hears of it, which therefore sees what it would have seen. Every other change goes through at once.
 *
 * The linker leads epoll_ctl and epoll_wait of the library through here (build.sh). In the kernel's set each socket
 * stands with its number and how often that number was used, so that what came for an earlier one is nobody's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

int __real_epoll_ctl(int set, int operation, int number, struct epoll_event *event);
int __real_epoll_wait(int set, struct epoll_event *events, int most, int milliseconds);
int __wrap_epoll_ctl(int set, int operation, int number, struct epoll_event *event);
int __wrap_epoll_wait(int set, struct epoll_event *events, int most, int milliseconds);

enum { MOST_SOCKETS = 65536 };

struct watched {
    epoll_data_t library;   /* what the library knows it by */
    uint32_t told;          /* what the kernel watches for */
    uint32_t used;          /* how often this number was watched */
    bool not_read;          /* the kernel watches for what the library does not read just now */
};

static struct watched watched[MOST_SOCKETS];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static int tell(int set, int operation, int number, uint32_t events)
{
    struct watched *one = &watched[number];
    struct epoll_event event = { .events = events };
    int result;

    event.data.u64 = (uint64_t)one->used << 32 | (uint32_t)number;
    result = __real_epoll_ctl(set, operation, number, &event);
    if (result == 0) {
        one->told = events;
        one->not_read = false;
    }
    return result;
}

/* Whether the change can wait: only reading ends, or is begun again while the kernel watches for it still. */
static bool can_wait(struct watched *one, uint32_t wanted)
{
    if (wanted & (EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE))
        return false;
    if (one->told == (wanted | EPOLLIN)) {
        one->not_read = !(wanted & EPOLLIN);
        return true;
    }
    return false;
}

int __wrap_epoll_ctl(int set, int operation, int number, struct epoll_event *event)
{
    int result;

    if (number < 0 || number >= MOST_SOCKETS) {
        errno = EMFILE;
        return -1;
    }
    if (operation == EPOLL_CTL_DEL)
        return __real_epoll_ctl(set, operation, number, event);
    pthread_mutex_lock(&turn);
    watched[number].library = event->data;
    if (operation == EPOLL_CTL_ADD)
        watched[number].used++;
    if (operation == EPOLL_CTL_MOD && can_wait(&watched[number], event->events))
        result = 0;
    else
        result = tell(set, operation, number, event->events);
    pthread_mutex_unlock(&turn);
    return result;
}

/* What the library is to hear of this event; nothing where it reads nothing there, and the kernel is told so now. */
static uint32_t heard(int set, struct epoll_event *event)
{
    int number = (int)(event->data.u64 & 0xFFFFFFFFu);
    struct watched *one = &watched[number];

    if (one->used != (uint32_t)(event->data.u64 >> 32))
        return 0;
    event->data = one->library;
    if (one->not_read && (event->events & EPOLLIN)) {
        tell(set, EPOLL_CTL_MOD, number, one->told & ~(uint32_t)EPOLLIN);
        return event->events & ~(uint32_t)EPOLLIN;
    }
    return event->events;
}

int __wrap_epoll_wait(int set, struct epoll_event *events, int most, int milliseconds)
{
    int found = __real_epoll_wait(set, events, most, milliseconds), kept = 0, at;

    if (found <= 0)
        return found;
    pthread_mutex_lock(&turn);
    for (at = 0; at < found; at++) {
        events[at].events = heard(set, &events[at]);
        if (events[at].events != 0)
            events[kept++] = events[at];
    }
    pthread_mutex_unlock(&turn);
    return kept;
}
