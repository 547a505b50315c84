"""From JPEG bytes to images of one size: the usual ImageNet preprocessing.

As in https://github.com/tensorflow/tpu (EfficientNet) and larq-zoo: random crops for training, the
middle seven eighths of the shorter side for testing, both brought to size bicubically.
"""

from onebit.keras import tf

AREA_RANGE = (0.08, 1.0)
ASPECT_RANGE = (3 / 4, 4 / 3)
ATTEMPTS = 10
MARGIN = 32
"""The middle crop of an image of 224 pixels is what 224 of 256 pixels of the shorter side show."""


def random(jpeg: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor:
    """A random part of the image, mirrored half of the time, float32 0…255 `[size, size, 3]`.

    Going Deeper with Convolutions (Inception), arXiv 1409.4842, section 6: 8 % to 100 % of the
    area, aspect ratio between 3:4 and 4:3. After ten vain attempts the whole image.

    Differs from these programs: they refuse crops of less than 10 % of the area
    (`min_object_covered`), and after ten vain attempts take the middle of the image, not all of it.

    Args:
        jpeg: The encoded image.
        size: Height and width of the result.
        seed: int32 `[2]`; fully determines crop and mirror.
    """
    shape = tf.image.extract_jpeg_shape(jpeg)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.zeros([1, 0, 4]),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=ASPECT_RANGE,
        area_range=AREA_RANGE,
        max_attempts=ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    window = tf.concat([begin[:2], extent[:2]], 0)
    image = _resized(tf.image.decode_and_crop_jpeg(jpeg, window, channels=3), size)
    return tf.image.stateless_random_flip_left_right(image, seed)


def central(jpeg: tf.Tensor, size: int) -> tf.Tensor:
    """The middle of the image, uint8 `[size, size, 3]`: size/(size + 32) of its shorter side."""
    shape = tf.image.extract_jpeg_shape(jpeg)
    height, width = shape[0], shape[1]
    side = tf.maximum(tf.minimum(height, width) * size // (size + MARGIN), 1)
    window = tf.stack([(height - side + 1) // 2, (width - side + 1) // 2, side, side])
    image = _resized(tf.image.decode_and_crop_jpeg(jpeg, window, channels=3), size)
    return tf.cast(tf.round(image), tf.uint8)


def _resized(image: tf.Tensor, size: int) -> tf.Tensor:
    resized = tf.image.resize(image, [size, size], method="bicubic")
    # A cubic overshoots at edges.
    return tf.ensure_shape(tf.clip_by_value(resized, 0.0, 255.0), [size, size, 3])
