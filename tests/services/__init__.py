"""What examples/ has for systemd and Slurm, under those programs: see scripts/systemd-show and scripts/slurm-show."""
