"""What `vizutils` is built on, a file each; nothing here is needed to read the report.

``kinds``, ``keys``, ``links``, ``network``, ``graph``, ``units``: a network, its layers, their
receptive fields, a convolution with its norm; ``flattening``, ``wrapping``, ``model_files``,
``class_names``, ``builders``: where networks come from; ``checks``, ``file_kinds``, ``decoding``,
``images``, ``loading``: pictures; ``maxima``: where filters answer most; ``objectives``,
``picture_objectives``, ``parameterisations``, ``optimisers``, ``transforms``, ``climb_checks``,
``reading``, ``render``, ``ascent``: the ascent; ``style``, ``saving``, ``recipes``: figures;
``atlas_store``: an atlas on disk.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter
if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise ImportError(
        f"vizutils needs Keras on TensorFlow, not on {os.environ['KERAS_BACKEND']!r}: set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported, and restart."
    )
