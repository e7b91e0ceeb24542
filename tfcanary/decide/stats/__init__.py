"""Statistical functions for the judge and for the comparison of data. Pure: arrays and numbers in, arrays and numbers out.

SciPy has some of these functions. They are written here because every slim step imports them: the judge, and the drift comparison
through `tfcanary.run.steps`. The judge imports in 0.2 s and 37 MiB; with `scipy.special` in 0.4 s and 61 MiB, with `scipy.stats`
in 1.0 s and 110 MiB, and SciPy adds 143 MB to the image. The tests compare each function with SciPy's.
"""
