"""Settings that several kinds of run have: one range and one help for each.

A kind declares those it has in its own Settings, with its own default where
none is given here:

    seed: int = fields.seed()
    steps: int = fields.steps(2000)
"""

import functools

from genjax.runs.settings import setting

_MANY = 10**9  # steps: two years of a hundred a second

# Of the data.
data = functools.partial(setting, lengths=(1, 4096), help=(
    'Data: digits, binarized_digits, toy:<name>, folder:<path>, npy:<path> or '
    'tfds:<name>. A folder holds PNG or JPEG files, one sub-folder a class if '
    'there are classes. An .npy file holds images, uint8 [N, H, W, C], or of '
    'numbers of any range [N, H, W, C] of type uint16, int16, float32 or '
    'float64; signals of such numbers, [N, L, C]; or points, float32 [N, D]. '
    'Options of a toy set follow its name: '
    'toy:spirals,turns=2,noise=0.05,points=1000.'))
image_size = functools.partial(
    setting, None, low=1, high=4096, lengths=(1, 2), help='Height and width in '
    'pixels of the images of a folder, such as 32x64, or the side of square '
    'ones (default 32); a tfds set is resized to it.')
channels = functools.partial(
    setting, None, low=1, high=4, help='Channels of the images of a folder: 1 '
    'grey, 3 colours, 4 colours and opacity; absent, 1 where all files are '
    'grey, else 3.')
# A settings.json without it is of 8: those runs were trained on.
bits = functools.partial(
    setting, low=8, high=16, help='Bits of a channel that the images of a '
    'folder are read at, 8 or 16; absent, 16 where all files are grey PNGs of '
    '16 bits, else 8. At 16 bits their range and type are kept.')
held_out = functools.partial(
    setting, None, low=0, high=0.9, help='Share of the files of a folder, or '
    'of the rows of an array, that are not trained on: the test data. Absent, '
    'a tenth where there are 20 or more.')
labels = functools.partial(
    setting, 'folders', lengths=(1, 4096), help='Where the classes of the '
    'images of a folder are from: folders, its sub-folders; prefix, what '
    'stands in the name of a file before the first digit or one of _ - ( .; '
    'csv:<path>, a table with the header file,label, of paths below the '
    'folder; a diffusion model is told the numbers in its other columns too.')
cache = functools.partial(
    setting, 2.0, low=0, high=1e4, free=True, help='GiB of pixels up to which '
    'the images of a folder are decoded once, kept in memory and in the '
    "user's cache folder, and not decoded again by the next start; a larger "
    'folder is decoded anew in every epoch; 0 keeps nothing.')

levels = functools.partial(
    setting, low=2, high=2**16, help='Number of values that a pixel may have.')

# Of the run.
seed = functools.partial(
    setting, 0, low=0, high=2**31 - 1, help='Seed of everything random.')
batch_size = functools.partial(
    setting, low=1, high=2**20, help='Number of examples in a training step, '
    'over all devices.')
steps = functools.partial(
    setting, low=1, high=_MANY, free=True, help='Length of the whole run in '
    'training steps.')
log_every = functools.partial(
    setting, low=1, high=_MANY, free=True, help='Number of steps between two '
    'lines of the logs.')
save_every = functools.partial(
    setting, low=1, high=_MANY, free=True, help='Number of steps between '
    'two checkpoints, sample grids and test losses.')
keep_every = functools.partial(
    setting, 0, low=0, high=_MANY, free=True, help='Number of steps between '
    'two checkpoints that are kept for ever, beside the latest and the best; 0 '
    'keeps none for ever.')
steps_per_call = functools.partial(
    setting, 1, low=1, high=1024, free=True, help='Number of training steps '
    'that a GPU or TPU is handed at once, which saves time where a step takes '
    'less than a millisecond; on a CPU it saves none, and they take so many '
    'times as long to compile. It must divide steps, log_every, save_every and '
    'keep_every.')
profile_steps = functools.partial(
    setting, None, lengths=(1, 19), free=True, help='First and last step to be '
    'profiled, such as 10:15: what the devices and the host do in them is '
    'written to the folder profile of the run, for xprof, TensorBoard or '
    'ui.perfetto.dev. Absent, none are.')
parallel = functools.partial(
    setting, 'jit', choices=('jit', 'fsdp', 'pmap'), free=True, help='How '
    'devices share a step: jit splits the batch, fsdp the parameters too, pmap '
    'runs one program a device.')
tensor_parallel = functools.partial(
    setting, 1, low=1, high=4096, free=True, help='Number of devices over '
    'which the matrices of attention and hidden layers of a transformer are '
    'split (tensor parallelism); it divides the number of devices, and the '
    'others share the batch.')
micro_batches = functools.partial(
    setting, 1, low=1, high=4096, free=True, help='Number of parts of a '
    'batch whose gradients are computed one after the other, which saves '
    'memory on a GPU or TPU.')

# Of the optimizer.
learning_rate = functools.partial(
    setting, above=0, high=100.0, help='Largest learning rate, reached after '
    'the warm-up.')
warmup = functools.partial(
    setting, low=0, high=_MANY, help='Number of steps in which the learning '
    'rate rises to its largest.')
b2 = functools.partial(
    setting, low=0.0, high=0.999999, help='Decay of the second moment of the '
    'gradient in Adam.')
weight_decay = functools.partial(
    setting, low=0.0, high=100.0, help='Decay of the weights per unit of '
    'learning rate, as in AdamW.')
ema_decay = functools.partial(
    setting, low=0.0, high=1.0, help='Decay per step of the moving average of '
    'the parameters, which is what a trained model uses.')

ema_widths = functools.partial(
    setting, (), low=0.01, high=0.28, lengths=(0, 4), distinct=True,
    help='Widths of up to four more moving averages of the parameters, each as '
    'a share of the training so far, such as 0.05,0.1. They are kept at every '
    'checkpoint; from two of them sample --weights=ema:0.07 makes one of any '
    'other width.')

# Of the network.
dtype = functools.partial(
    setting, 'float32', choices=('float32', 'bfloat16'), help='Numbers in '
    'which the network computes: in bfloat16 what passes through it takes half '
    'the memory. Parameters, averages and losses are float32 in both.')
dropout = functools.partial(
    setting, low=0.0, high=0.99, help='Share of the units of the network that '
    'are dropped in a training step.')
width = functools.partial(
    setting, low=1, high=2**16, lengths=(0, 64), help='Channels of each level '
    'of a convolutional network (16,32), or units of the layers of another '
    '(128).')
depth = functools.partial(
    setting, low=1, high=1024, help='Number of layers of the network, or of '
    'blocks of each of its levels.')
conditional = functools.partial(
    setting, True, help='Whether the model is told the class of an example, '
    'and a diffusion model the numbers beside it, where there are any.')

init_from = functools.partial(
    setting, None, lengths=(1, 4096), help='Folder of a run of the same '
    'kind and network, whose weights this one begins with. Where the classes '
    'are others, the embedding of classes of a diffusion model and the last '
    'layer of a classifier begin afresh; a VAE must be told as many classes.')

# Facts of the data, and of the run that a run begins with.
init_id = functools.partial(
    setting, None, lengths=(64, 64), help='Hash (sha256) of the weights '
    'that the run began with, where these are of another run.')
shape = functools.partial(
    setting, low=1, high=2**20, lengths=(1, 4), help='Shape of an example: '
    'height, width and channels; length and channels; or coordinates.')
class_names = functools.partial(
    setting, (), lengths=(0, 10**6), distinct=True, help='Names of the classes '
    'of the data in the order of their labels.')
num_examples = functools.partial(
    setting, 1, low=1, high=2**53, help='Number of examples for training.')
data_std = functools.partial(
    setting, 1.0, above=0, high=1e9, help='Standard deviation of the training '
    'data, as the network is given them.')
