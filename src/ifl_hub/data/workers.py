"""What data sets do when a `DataLoader` runs them in several processes."""


def one_thread_per_worker() -> None:
    """Keeps worker processes from fighting over cores; the main process's setting is the caller's."""
    import cv2
    from torch.utils.data import get_worker_info

    if get_worker_info() is not None:
        cv2.setNumThreads(0)
