# Losswatch from a shell script: source this file. Needs a POSIX shell and curl; nothing it does can end your script.
#
#   . clients/shell/losswatch.sh
#   losswatch_log my-run 17 loss=0.42 grad_norm=1.3    # one point
#   losswatch_report my-run                            # the report, as JSON
#   if losswatch_should_stop my-run; then break; fi    # true once the report says so
#   losswatch_finish my-run finished                   # or failed, or cancelled
#
# LOSSWATCH_URL names the service (http://127.0.0.1:8000), LOSSWATCH_API_KEY a key, where keys are on.
# shellcheck shell=sh

losswatch_call() { # METHOD PATH [BODY]: the answer on standard output; status 1 and one line on stderr when there is none
    set -- "$1" "${LOSSWATCH_URL:-http://127.0.0.1:8000}/v1/runs/$2" "${3-}"
    losswatch_answer=$(
        {
            [ -z "${LOSSWATCH_API_KEY-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$LOSSWATCH_API_KEY"
            printf 'header = "Content-Type: application/json"\n'
        } | curl --config - --silent --show-error --fail-with-body --max-time 5 --request "$1" \
            ${3:+--data "$3"} "$2" 2>&1
    ) && printf '%s\n' "$losswatch_answer" && return
    printf 'losswatch: %s %s was not taken: %s\n' "$1" "$2" "$losswatch_answer" >&2
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

losswatch_log() { # RUN STEP NAME=VALUE ...: post one point; always succeeds, a point that is not taken is named on stderr
    losswatch_run=$1
    losswatch_step=$2
    shift 2
    losswatch_call POST "$losswatch_run/points?report=false" "{$(losswatch_json "step=$losswatch_step" "$@")}" \
        >/dev/null || :
}

losswatch_report() { # RUN: the report
    losswatch_call GET "$1/report"
}

losswatch_should_stop() { # RUN: whether the training loop should end
    losswatch_report "$1" | tr -d ' \n' | grep -q '"action":"stop"'
}

losswatch_finish() { # RUN [finished|failed|cancelled]: the run has ended; always succeeds
    losswatch_call POST "$1/finish" "{$(losswatch_json "state=${2:-finished}")}" >/dev/null || :
}
