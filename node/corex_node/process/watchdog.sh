# Runs a server in a folder of its own until the pipe at our standard input ends.
#
#   sh watchdog.sh PREFIX SERVER [ARG…]
#
# Writes a line with the folder's path (or ! and what went wrong), then answers words with a line:
#   start   starts the server in the folder → its process ID
#   reap    waits for its end → its exit status; until then no one else can have its process ID
# At the end of the pipe the server is killed and the folder removed.

watch() {
    # Signals to the program that started us are not our business: the pipe says when it ended.
    trap '' HUP INT QUIT TERM
    PATH="/usr/bin:/bin:$PATH"
    folder=$(mktemp -d "$1.XXXXXXXX" 2>&1) || {
        printf '!%s\n' "$folder"
        return 1
    }
    shift
    cd "$folder" || return
    printf '%s\n' "$folder"
    server=
    while read -r word; do
        case $word in
        start)
            "$@" </dev/null >>output 2>&1 &
            server=$!
            printf '%s\n' "$server"
            ;;
        reap)
            wait "$server"
            printf '%s\n' "$?"
            server=
            ;;
        esac
    done
    if [ -n "$server" ]; then
        kill -KILL "$server"
        wait "$server"
    fi
    cd / && rm -rf "$folder"
}

# All of it is read before any of it is done: the file may change meanwhile.
watch "$@"
exit
