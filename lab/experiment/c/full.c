/* One thread with poll(2), at the limit of its descriptors. */
#include "server.h"

int main(int argc, char **argv)
{
	struct pollfd fds[256] = {{ .fd = listening(argv[1]), .events = POLLIN }};
	int n = 1, room = 1, reserve = open("/dev/null", O_RDONLY);
	int lfd = fds[0].fd;
	long failed = 0;
	for (;;) {
		fds[0].fd = room ? lfd : -1; /* poll passes over negative ones */
		poll(fds, n, -1);
		if (fds[0].revents) {
			int cfd = accept(lfd, NULL, NULL);
			if (cfd >= 0) {
				fds[n++] = (struct pollfd){ .fd = cfd, .events = POLLIN };
			} else {
				if (++failed % 1000 == 0 || failed < 10) {
					printf("failed %ld\n", failed);
					fflush(stdout);
				}
#if defined(PAUSE)
				usleep(100 * 1000);
#elif defined(RESERVE)
				close(reserve);
				close(accept(lfd, NULL, NULL));
				reserve = open("/dev/null", O_RDONLY);
#endif
#ifdef REPAIRED
				room = 0; /* until a client leaves */
#endif
			}
		}
		for (int i = 1; i < n; i++) {
			char buf[4096];
			if (!fds[i].revents) continue;
			ssize_t got = recv(fds[i].fd, buf, sizeof buf, 0);
			if (got > 0) {
				send(fds[i].fd, buf, got, MSG_NOSIGNAL);
				continue;
			}
			close(fds[i].fd);
			fds[i--] = fds[--n];
			room = 1;
		}
	}
}
