"""Techniques beyond the report's four steps: a file each, or a package with the same name.

The filter and its circuit:

``circuits``: what each edge contributes to a response, and what cutting edges does.
``edge_experiments``: a few edges as predictors, cuts with fair controls, inhibitors at work.
``rebuilding``: a filter written by hand as a short list, and how well it answers like the real one.
``inhibition``: what a filter answers to once its inhibitory weights are taken away.
``silencing``: which class scores fall and rise when a filter is set to zero.
``pathways``: which channels two layers down feed a filter, and which filters read it.
``families``: filters of one layer that detect the same feature, turned or mirrored.
``polysemy``: whether a unit answers to one cause or to several.

Evidence and verdicts:

``stimuli``: drawn stimuli that differ in one property, and tuning curves for them.
``alterations``: real patches turned, mirrored, made grey or blurred, and what remains.
``turning``: real patches turned in small steps behind a round window.
``samples``: random places of pictures, and what a whole layer reads and answers there.
``descriptions``: a few drawn things that predict a filter's answers, without the network.
``claims``: a hypothesis, its predictions, their verdicts, and how often such verdicts are wrong.
``layer_analysis``: every filter's hypothesis judged on every filter of its layer.
``analysis``: a filter's whole analysis in one call, from hypothesis to verdict.
``layer_pass``: the same for all filters of a layer, in blocks that an interruption leaves whole.
``planted``: units whose answer is known by construction, to mark verdicts with.
``marking``: claims put to planted units: how often each is right.
``intervals``: how to print a number that another processor, picture or seed would change.

Families of visualisation techniques, one companion notebook or more:

``feature_maps``: maps of whole layers, and how similar filters are.
``pruning``: near-duplicate filters taken out, what that saves and what it costs.
``deconvnet``: from a unit back to pixels: deconvnet, gradient, guided backpropagation.
``abstraction``: why pictures rebuilt from deep layers look abstract: what maps ignore.
``inversion``: a picture found again from a layer's features: what the layer still knows.
``attribution``: which pixels a class logit depends on, by eight methods.
``faithfulness``: whether attribution maps show the network or only the picture.
``deepdream``: a photograph changed towards what a layer already sees in it.
``accentuation``: what one filter sees in a photograph, drawn more plainly there.
``method_sheet``: the same units drawn by each method, this project's and others'.
``adversarial``: small changes of pixels that make the network name another class.
``architectures``: what networks cost, and what is alike in different ones.
``beside``: first kernels, maps and places of two networks beside each other.
``subject``: what the report's words and pictures depend on, for any network.
``exercises``: the exercises' names for things, and what they are called here.
``dashboard``: widgets that show all of it for a filter chosen by clicking.
``explorer``: what the pages of every filter say, for a site that opens from the disk.
"""
