"""DiffForensics (CVPR 2024): denoising pre-training with simplex noise, then localization, detection and edges."""
