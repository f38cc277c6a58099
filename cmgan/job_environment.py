"""Environment for jobs that train or enhance.

glibc keeps freed memory instead of paging it in again. torch's OpenMP threads sleep between their
operations: spinning, they would hold the cores that the compiled kernels' own threads need next.
"""

JOB_ENVIRONMENT: dict[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483648",
    "OMP_WAIT_POLICY": "PASSIVE",
}
