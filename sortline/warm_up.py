"""`sortline warm-up`: compiles everything ahead, where the program is installed."""

from __future__ import annotations


def warm_up() -> None:
    """Compile the kernels of worker, classify and train, once for this machine.

    Without it the first worker or command compiles what it needs and takes some
    15 s longer to start. Run it where the code is installed, such as in the
    build of an image; needs neither Kafka nor a model. Kernels are kept in the
    folders __pycache__ beside the code, or where NUMBA_CACHE_DIR says, and fit
    processors like this one; whoever runs the program must be able to write
    there, too.

    Example:
      NUMBA_CACHE_DIR=/var/cache/sortline sortline warm-up
    """
    import time

    import features.warm_up
    import models.warm_up
    import training.warm_up
    from sortline.console import messages, say
    from sortline.progress import StepProgress
    from streams.cold_start import compile_stream

    started = time.monotonic()
    with StepProgress(messages()) as progress:
        progress.step("Compiling the features")
        features.warm_up.compile_kernels()
        progress.step("Compiling the models")
        models.warm_up.compile_kernels()
        progress.step("Compiling the stream")
        compile_stream()
        progress.step("Compiling the training")
        training.warm_up.compile_kernels()
    say(f"all kernels are compiled ({time.monotonic() - started:.1f} s): in {features.warm_up.cache_folder()}")
