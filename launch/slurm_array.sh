#!/bin/bash
# One command of a list a job, for a sweep over what changes the program:
#
#     medjax sweep --config configs/pima.py --grid training.batch_size=32,64 --grid seed=1,2 > commands.txt
#     sbatch --array=0-$(($(wc -l < commands.txt) - 1)) launch/slurm_array.sh commands.txt
#SBATCH --job-name=medjax-sweep
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=%x-%A-%a.log

command=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "${1:?the file with one command a line}")
echo "$command"
exec bash -c "exec $command"
