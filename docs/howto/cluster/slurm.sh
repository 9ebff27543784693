#!/bin/bash
#SBATCH --job-name=napari-unet
#SBATCH --ntasks=32
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
# A scheduler, its workers and the command in one job of SLURM: sbatch slurm.sh brain.zarr brain_labels.zarr nuclei3d
# If the time was too short, the same line goes on with what is there.
set -eu
image=$1 labels=$2 model=$3
scheduler=$PWD/scheduler-$SLURM_JOB_ID.json
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK MKL_NUM_THREADS=$SLURM_CPUS_PER_TASK # else dask sets the second to 1

dask scheduler --scheduler-file "$scheduler" --port 0 --no-dashboard &
trap 'rm -f "$scheduler"; kill $(jobs -p) || true' EXIT
srun dask worker --scheduler-file "$scheduler" --nthreads 1 --no-dashboard &
until [ -s "$scheduler" ]; do sleep 1; done

napari-unet segment "$image" -o "$labels" --model "$model" --scheduler "$scheduler"
