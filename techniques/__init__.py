"""Visualisation techniques beyond the report's four steps, one family per file.

Here will live ``circuits`` (contributions, ablation, families), ``stimuli``
(synthetic stimuli and tuning), ``deconvnet``, ``inversion``, ``attribution``,
``deepdream``, ``adversarial``, ``architectures`` (comparison of networks) and
``dashboard``. Each uses :mod:`vizutils`; none needs another without reason.
"""
