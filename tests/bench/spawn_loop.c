/*
 * The least that a program can do to run programs: posix_spawn and waitpid.
 *
 *   spawn_loop COUNT AT_ONCE PROGRAM
 *
 * Runs PROGRAM so many times, so many at once, and prints the seconds that it took.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static void start(char *program) {
    char *arguments[] = {program, NULL};
    pid_t pid;
    if (posix_spawn(&pid, program, NULL, NULL, arguments, environ) != 0) {
        perror("posix_spawn");
        exit(1);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: spawn_loop COUNT AT_ONCE PROGRAM\n");
        return 2;
    }
    int count = atoi(argv[1]), at_once = atoi(argv[2]), started = 0;
    double begin = now();
    for (int ended = 0; ended < count; ended++) {
        while (started < count && started - ended < at_once) {
            start(argv[3]);
            started++;
        }
        int status;
        if (waitpid(-1, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(stderr, "%s did not succeed\n", argv[3]);
            return 1;
        }
    }
    printf("%.6f\n", now() - begin);
    return 0;
}
