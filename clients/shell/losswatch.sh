# Losswatch from a shell script: source this file. Needs a POSIX shell and curl; nothing it does can end your script.
#
#   . clients/shell/losswatch.sh
#   losswatch_context my-run learning_rate=0.01 optimizer=sgd   # what is known of the job, before its points
#   losswatch_log my-run 17 loss=0.42 grad_norm=1.3             # one point
#   losswatch_lines my-run < points.txt                         # many: lines of "17 loss=0.42 grad_norm=1.3"
#   if losswatch_should_stop my-run; then break; fi             # true once the report says so
#   losswatch_report my-run                                     # the report, as JSON
#   losswatch_finish my-run finished                            # or failed, or cancelled
#
# LOSSWATCH_URL names the service (http://127.0.0.1:8000), LOSSWATCH_API_KEY a key where keys are on, LOSSWATCH_PROJECT a
# project. Points that a service which is away did not take wait (the last 1,000, in a variable of this shell) and go with
# the next; the service counts a point once, however often it comes.
# shellcheck shell=sh

losswatch_writer="sh-$$-$(date +%s)"
losswatch_run=           # the run of which points wait
losswatch_waiting=       # them, one a line
losswatch_said=          # whether the absence of the service was named
losswatch_failed=0       # tries in a row
losswatch_not_before=0   # seconds since 1970, of the next try
losswatch_verdict=       # run and action of the last answer to points

losswatch_call() { # METHOD PATH [BODY]: the answer in losswatch_answer, its status (000: none came) in losswatch_status
    set -- "$1" "${LOSSWATCH_URL:-http://127.0.0.1:8000}/v1/runs/$2${LOSSWATCH_PROJECT:+?project=$LOSSWATCH_PROJECT}" "${3-}"
    losswatch_answer=$(
        {
            [ -z "${LOSSWATCH_API_KEY-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$LOSSWATCH_API_KEY"
            printf 'header = "Content-Type: application/json"\n'
            [ -z "$3" ] || printf 'data = "%s"\n' "$(printf '%s' "$3" | sed 's/\\/\\\\/g; s/"/\\"/g')"
        } | curl --config - --silent --show-error --max-time 5 --request "$1" --write-out '\n%{http_code}' "$2" 2>&1
    ) || :
    losswatch_status=$(printf '%s\n' "$losswatch_answer" | tail -n 1)
    losswatch_answer=$(printf '%s\n' "$losswatch_answer" | sed '$d')
    case $losswatch_status in 2??) return 0 ;; esac
    losswatch_problem="$1 $2 was not taken: $losswatch_answer"
    return 1
}

losswatch_json() { # NAME=VALUE ...: "name": value, ...; what is not a number (nan, inf, a word) becomes a string
    losswatch_comma=
    for losswatch_pair in "$@"; do
        losswatch_value=$(printf '%s' "${losswatch_pair#*=}" | sed 's/\\/\\\\/g; s/"/\\"/g')
        printf '%s' "$losswatch_value" | LC_ALL=C grep -Eqx -- '-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?' ||
            losswatch_value="\"$losswatch_value\""
        printf '%s"%s": %s' "$losswatch_comma" "${losswatch_pair%%=*}" "$losswatch_value"
        losswatch_comma=', '
    done
}

losswatch_say() {
    printf 'losswatch: %s\n' "$*" >&2
}

losswatch_post() { # POINTS, one a line: status 0 when the service has them or refused them for good
    losswatch_call POST "$losswatch_run/points" \
        "{\"writer\": \"$losswatch_writer\", \"points\": [$(printf '%s\n' "$1" | paste -s -d , -)]}" && {
        losswatch_verdict="$losswatch_run $(printf '%s' "$losswatch_answer" | tr -d ' \n' |
            sed -n 's/.*"action":"\([a-z]*\)".*/\1/p')"
        losswatch_failed=0 losswatch_said=
        return 0
    }
    case $losswatch_status in
    422) [ "$(printf '%s\n' "$1" | wc -l)" -eq 1 ] || return 2 ;;
    408 | 429 | 5?? | 000 | [!0-9]* | '') return 1 ;;
    esac
    losswatch_say "$losswatch_problem"
}

losswatch_send() { # whatever waits; status 1 when it still does
    [ -n "$losswatch_waiting" ] || return 0
    [ "$(date +%s)" -ge "$losswatch_not_before" ] || return 1
    losswatch_post "$losswatch_waiting" || case $? in
    2) # all or nothing: one of them is bad, and is named when it goes alone
        while [ -n "$losswatch_waiting" ]; do
            losswatch_post "${losswatch_waiting%%
*}" || return 1
            losswatch_rest=${losswatch_waiting#*
}
            [ "$losswatch_rest" != "$losswatch_waiting" ] || losswatch_rest=
            losswatch_waiting=$losswatch_rest
        done
        return 0
        ;;
    *)
        [ -n "$losswatch_said" ] || losswatch_say "$losswatch_problem; points wait and are sent again"
        losswatch_said=yes
        losswatch_failed=$((losswatch_failed < 5 ? losswatch_failed + 1 : 5))
        losswatch_not_before=$(($(date +%s) + (1 << losswatch_failed) - 2))
        return 1
        ;;
    esac
    losswatch_waiting=
}

losswatch_wait() { # RUN POINT: one more that waits
    if [ "$losswatch_run" != "$1" ]; then
        losswatch_send || losswatch_say "points of $losswatch_run were not delivered: the service is away"
        losswatch_run=$1 losswatch_waiting=
    fi
    losswatch_waiting="${losswatch_waiting:+$losswatch_waiting
}$2"
    [ "${#losswatch_waiting}" -lt 100000 ] || losswatch_waiting=$(printf '%s\n' "$losswatch_waiting" | tail -n 1000)
}

losswatch_log() { # RUN STEP NAME=VALUE ...: post one point; always succeeds, a point that is not taken is named on stderr
    losswatch_of=$1 losswatch_step=$2
    shift 2
    losswatch_wait "$losswatch_of" "{$(losswatch_json "step=$losswatch_step" "$@")}"
    losswatch_send || :
}

losswatch_lines() { # RUN: post the points on standard input, a line "STEP NAME=VALUE ..." each; always succeeds
    while read -r losswatch_step losswatch_pairs; do
        # shellcheck disable=SC2086 # the pairs are words
        [ -z "$losswatch_step" ] || losswatch_wait "$1" "{$(losswatch_json "step=$losswatch_step" $losswatch_pairs)}"
    done
    losswatch_send || :
}

losswatch_context() { # RUN NAME=VALUE ...: what is known of the job; always succeeds
    losswatch_of=$1
    shift
    losswatch_call PUT "$losswatch_of" "{\"context\": {$(losswatch_json "$@")}}" || losswatch_say "$losswatch_problem"
}

losswatch_report() { # RUN: the report
    if losswatch_call GET "$1/report"; then printf '%s\n' "$losswatch_answer"; else
        losswatch_say "$losswatch_problem"
        return 1
    fi
}

losswatch_should_stop() { # RUN: whether the training loop should end, by the last answer
    case $losswatch_verdict in
    "$1 "*) [ "$losswatch_verdict" = "$1 stop" ] ;;
    *) losswatch_report "$1" | tr -d ' \n' | grep -q '"action":"stop"' ;;
    esac
}

losswatch_finish() { # RUN [finished|failed|cancelled]: the run has ended; waits five seconds at most; always succeeds
    losswatch_tries=0
    while [ "$losswatch_run" = "$1" ] && [ -n "$losswatch_waiting" ]; do
        losswatch_not_before=0
        losswatch_send && break
        losswatch_tries=$((losswatch_tries + 1))
        [ "$losswatch_tries" -lt 5 ] || break
        sleep 1
    done
    if [ "$losswatch_run" = "$1" ] && [ -n "$losswatch_waiting" ]; then
        losswatch_say "points of $1 were not delivered: the service is away"
        losswatch_waiting=
        return 0
    fi
    losswatch_call POST "$1/finish" "{$(losswatch_json "state=${2:-finished}")}" || losswatch_say "$losswatch_problem"
}
