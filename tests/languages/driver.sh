# The calls of tests/languages/test_conformance.py, in a POSIX shell.
set -eu
. clients/shell/losswatch.sh
scenario=$1 name=$2
power() { awk "BEGIN { printf \"%.17g\", 450 * 3.55 ^ $1 }"; }
case $scenario in
story)
    losswatch_context "$name" learning_rate=0.01 optimizer=sgd
    losswatch_log "$name" 0 loss=450 grad_norm=1.5
    losswatch_context "$name" batch_size=20
    losswatch_lines "$name" <<LINES
1 loss=$(power 1)
2 loss=$(power 2)
3 loss=$(power 3)
LINES
    step=4
    while [ "$step" -lt 100 ]; do
        losswatch_log "$name" "$step" loss="$(power "$step")"
        if losswatch_should_stop "$name"; then
            echo "stopped at $step"
            break
        fi
        step=$((step + 1))
    done
    losswatch_finish "$name" failed
    losswatch_report "$name" | sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p'
    ;;
odd)
    losswatch_log "$name" 0 loss=nan
    losswatch_log "$name" 1 loss=inf
    losswatch_log "$name" 2 loss=-Infinity
    losswatch_log "$name" 3 loss=0.30000000000000004
    losswatch_finish "$name"
    ;;
refused)
    losswatch_log "$name" -1 loss=0.5
    losswatch_log "$name" 0 loss=0.5
    losswatch_finish "$name"
    echo "went on"
    ;;
*)
    for step in 0 1 2; do losswatch_log "$name" "$step" loss="0.$((9 - step))"; done
    echo trained
    losswatch_finish "$name"
    ;;
esac
