"""Environment for jobs that train or enhance: glibc keeps freed memory instead of paging it in again."""

ALLOCATOR_SETTINGS: dict[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483648",
}
