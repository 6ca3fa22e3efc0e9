#!/bin/bash
# One training on several GPUs of several nodes: one task a GPU; under srun they find each other by what Slurm sets.
#
#     sbatch --nodes=2 launch/slurm.sh --config configs/hippocampus.py --workdir /shared/runs/hippocampus
#
# The run folder and the original data must lie where all nodes see them. The same command continues a run that was
# stopped: Slurm sends SIGTERM two minutes before the time is over, the state is saved, and --requeue puts the job back.
#SBATCH --job-name=medjax
#SBATCH --nodes=1
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=%x-%j.log

export MEDJAX_DATA=${MEDJAX_DATA:?the folder of the original data files}
export MEDJAX_CACHE=${MEDJAX_CACHE:-$SCRATCH/medjax}   # prepared data and compiled programs; seen by all nodes

# A task that dies takes the others with it: then the job ends and can be started again.
srun --kill-on-bad-exit=1 python train.py "$@"
