#!/bin/bash
#SBATCH --job-name=napari-unet
#SBATCH --array=0-99
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
# One task of SLURM for each image: sbatch slurm-array.sh
set -eu
files=(images/*.tif)
file=${files[$SLURM_ARRAY_TASK_ID]:-}
[ -n "$file" ] || exit 0
name=$(basename "$file" .tif)
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK

napari-unet segment "$file" -o "labels/${name}_labels.tif" --model mine.safetensors
