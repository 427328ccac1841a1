"""What h5daq costs and what it reaches, each figure beside a raw limit of the same run."""
