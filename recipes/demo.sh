#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole almanac study, from nothing to a leaderboard, readable from top to bottom. Run it with `make demo`.
# FILTERS, TASKS and SEEDS choose what is trained; flags after the script's name go to every recipe.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra filters <<<"${FILTERS:-0 4}"
read -ra tasks <<<"${TASKS:-facts}"
read -ra seeds <<<"${SEEDS:-0}"
jobs="${JOBS:-$(nproc)}"
began=$SECONDS

stage() { printf '\n== %s (%d s) ==\n' "$1" "$((SECONDS - began))"; }

stage "1/5 tokenizer"
python recipes/train_tokenizer.py "$@"

stage "2/5 questions"
python recipes/build_qa.py "$@"

stage "3/5 corpora: five filters"
python recipes/build_corpora.py "$@"

# A model of this size fills one core, so the models are trained side by side, one core each.
stage "4/5 pretrain, finetune, evaluate: filters ${filters[*]}, tasks ${tasks[*]}, seeds ${seeds[*]}"
one_model() {
    local filter=$1 seed=$2 task flags
    eval "flags=($RECIPE_FLAGS --seed $seed)"
    accelerate launch --quiet --config_file accelerate_configs/cpu.yaml recipes/pretrain.py --filter "$filter" "${flags[@]}"
    for task in $TASK_LIST; do
        accelerate launch --quiet --config_file accelerate_configs/cpu.yaml \
            recipes/sft.py --filter "$filter" --task "$task" "${flags[@]}"
        python recipes/run_eval.py --filter "$filter" --task "$task" "${flags[@]}"
    done
}
export -f one_model
RECIPE_FLAGS="$(printf '%q ' "$@")"
[ $# -gt 0 ] || RECIPE_FLAGS=""
export RECIPE_FLAGS TASK_LIST="${tasks[*]}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
for seed in "${seeds[@]}"; do
    for filter in "${filters[@]}"; do echo "$filter $seed"; done
done | xargs -P "$jobs" -L 1 bash -c 'set -euo pipefail; one_model "$1" "$2"' _ || {
    echo "error: a model did not finish; see the messages above, then run the same command again to go on." >&2
    exit 1
}

stage "5/5 leaderboard"
python recipes/leaderboard.py "$@"
printf '\nDone in %d s. The Hub goes on running; `xlt-hub stop` ends it.\n' "$((SECONDS - began))"
