/* Preloaded into adbd, which would listen on all addresses without asking who connects: it gets
 * loopback addresses only, and no sockets of virtual machines.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int socket, const struct sockaddr *address, socklen_t length) {
  int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
  switch (address->sa_family) {
    case AF_VSOCK:
      errno = EADDRNOTAVAIL;
      return -1;
    case AF_INET: {
      struct sockaddr_in own;
      memcpy(&own, address, sizeof own);
      own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      return next(socket, (const struct sockaddr *)&own, length);
    }
    case AF_INET6: { /* ::ffff:127.0.0.1, which IPv4 clients reach too */
      static const unsigned char loopback[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
      struct sockaddr_in6 own;
      memcpy(&own, address, sizeof own);
      memcpy(&own.sin6_addr, loopback, sizeof loopback);
      return next(socket, (const struct sockaddr *)&own, length);
    }
    default:
      return next(socket, address, length);
  }
}
