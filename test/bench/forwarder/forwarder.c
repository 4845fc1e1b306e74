/* forwarder: the least that a controller could be: two libzmq ROUTERs that pass
 * messages on with the first two frames swapped, as ipyparallel's mux relay
 * does, without looking at them. It prints the ports for clients and for
 * engines; with --curve, its public key too, and takes encrypted peers alone.
 * Compiled without libzmq's header, whose ABI these declarations are:
 *
 *     cc -O2 -o forwarder forwarder.c -l:libzmq.so.5
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { _Alignas(8) unsigned char opaque[64]; } message;
typedef struct { void *socket; int fd; short events, revents; } poll_item;
void *zmq_ctx_new(void);
void *zmq_socket(void *context, int type);
int zmq_setsockopt(void *socket, int option, const void *value, size_t size);
int zmq_getsockopt(void *socket, int option, void *value, size_t *size);
int zmq_bind(void *socket, const char *endpoint);
int zmq_poll(poll_item *items, int n, long timeout);
int zmq_msg_init(message *m);
int zmq_msg_recv(message *m, void *socket, int flags);
int zmq_msg_send(message *m, void *socket, int flags);
int zmq_msg_more(const message *m);
int zmq_curve_keypair(char *public_key, char *secret_key);
void zmq_version(int *major, int *minor, int *patch);

enum { ROUTER = 6, IDENTITY = 5, SNDHWM = 23, RCVHWM = 24, LAST_ENDPOINT = 32, CURVE_SERVER = 47, CURVE_SECRETKEY = 49 };
enum { POLLIN = 1, DONTWAIT = 1, SNDMORE = 2 };

/* router binds one; secret is NULL when it is not encrypted. */
static void *router(void *context, const char *identity, const char *secret, int *port) {
    void *s = zmq_socket(context, ROUTER);
    int unlimited = 0, on = 1;
    char endpoint[64];
    size_t size = sizeof endpoint;
    zmq_setsockopt(s, IDENTITY, identity, strlen(identity));
    zmq_setsockopt(s, SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(s, RCVHWM, &unlimited, sizeof unlimited);
    if (secret && (zmq_setsockopt(s, CURVE_SERVER, &on, sizeof on) || zmq_setsockopt(s, CURVE_SECRETKEY, secret, 40))) {
        perror("curve");
        exit(1);
    }
    if (zmq_bind(s, "tcp://127.0.0.1:*") || zmq_getsockopt(s, LAST_ENDPOINT, endpoint, &size)) {
        perror("bind");
        exit(1);
    }
    *port = atoi(strrchr(endpoint, ':') + 1);
    return s;
}

/* forward passes on what has come from one side, at most 256 messages. */
static void forward(void *from, void *to) {
    for (int n = 0; n < 256; n++) {
        message sender, receiver, m;
        zmq_msg_init(&sender);
        zmq_msg_init(&receiver);
        if (zmq_msg_recv(&sender, from, DONTWAIT) < 0) return;
        if (!zmq_msg_more(&sender)) continue;
        zmq_msg_recv(&receiver, from, 0);
        int more = zmq_msg_more(&receiver);
        zmq_msg_send(&receiver, to, SNDMORE);
        zmq_msg_send(&sender, to, more ? SNDMORE : 0);
        while (more) {
            zmq_msg_init(&m);
            zmq_msg_recv(&m, from, 0);
            more = zmq_msg_more(&m);
            zmq_msg_send(&m, to, more ? SNDMORE : 0);
        }
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        printf("a C program on libzmq %d.%d.%d\n", major, minor, patch);
        return 0;
    }
    int clients, engines;
    char public_key[41] = "", secret_key[41], *secret = NULL;
    if (argc > 1 && !strcmp(argv[1], "--curve")) {
        if (zmq_curve_keypair(public_key, secret = secret_key)) {
            perror("a libzmq without CURVE");
            return 1;
        }
    }
    void *context = zmq_ctx_new();
    void *in = router(context, "mux_in", secret, &clients), *out = router(context, "mux_out", secret, &engines);
    printf("%d %d %s\n", clients, engines, public_key);
    fflush(stdout);
    poll_item items[] = {{in, 0, POLLIN, 0}, {out, 0, POLLIN, 0}};
    while (zmq_poll(items, 2, -1) >= 0) {
        if (items[0].revents) forward(in, out);
        if (items[1].revents) forward(out, in);
    }
    return 1;
}
