import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError
from onebit.keras import tf
from zoo.datasets import Dataset, _imagenet_crops, imagenet, naming_damage
from zoo.datasets._tfrecords import count_records, find_records, read_records
from zoo.datasets.synthetic_imagenet import write_noise
from zoo.recipes import Recipe
from zoo.runs.run import CARD
from zoo.training import inputs

SIZE = 72


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with two files of five records each."""
    folder = tmp_path_factory.mktemp("noise")
    write_noise(folder, "train", 5)
    return folder


def _split(folder, augment=True):
    files = find_records([folder], "train")
    return read_records(files, image_size=SIZE, augment=augment)


def _arrays(batches):
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _write(path, *examples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for keys in examples:
            features = {}
            for key, value in keys.items():
                if isinstance(value, bytes):
                    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                else:
                    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
                features[key] = feature
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def _jpeg(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    # Without subsampled colours a part decodes to the same pixels as the whole.
    return tf.io.encode_jpeg(pixels, quality=100, chroma_downsampling=False).numpy()


def test_records_are_counted_and_read_in_the_files_order(noise):
    split = _split(noise)
    assert len(split) == 10
    assert split.image_shape == (SIZE, SIZE, 3)
    images, labels = _arrays(split.batches(4))
    assert images.dtype == np.uint8
    assert images.shape == (10, SIZE, SIZE, 3)
    np.testing.assert_array_equal(labels, np.arange(10) % 4)


def test_an_epoch_is_decided_by_seed_and_epoch_alone(noise):
    split = _split(noise)
    first, again = (_arrays(split.batches(3, (1, 2))) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[0].dtype == np.float32
    assert first[0].min() >= 0
    assert first[0].max() <= 255
    assert sorted(first[1]) == sorted(np.arange(10) % 4)
    for order in ((1, 3), (2, 2)):
        other = _arrays(split.batches(3, order))
        assert not np.array_equal(first[0], other[0])


def test_a_split_that_is_not_augmented_is_cropped_in_the_middle_in_any_order(noise):
    split = _split(noise, augment=False)
    plain, shuffled = _arrays(split.batches(10))[0], _arrays(split.batches(10, (1, 1)))[0]
    known = {image.tobytes() for image in plain}
    assert {image.astype(np.uint8).tobytes() for image in shuffled} == known
    assert not np.array_equal(plain, shuffled)


def test_a_cut_split_holds_the_first_records(noise):
    split = _split(noise)[:6]
    assert len(split) == 6
    np.testing.assert_array_equal(_arrays(split.batches(4))[1], np.arange(6) % 4)
    assert sorted(_arrays(split.batches(4, (1, 1)))[1]) == sorted(np.arange(6) % 4)
    assert len(split[:100]) == 6
    assert len(split[:4][:6]) == len(_arrays(split[:4][:6].batches(4))[1]) == 4
    first = split.first(2)
    np.testing.assert_array_equal(first.images, _arrays(split.batches(2))[0][:2])
    with pytest.raises(ValueError, match="from the beginning only"):
        split[2:4]


def test_the_middle_crop_is_the_middle_of_the_shorter_side():
    # 256×320 at 224: 224/256 of 256 rows and as many columns, from (16, 48) on, not resized.
    jpeg = _jpeg(256, 320)
    expected = tf.io.decode_jpeg(jpeg, channels=3)[16 : 16 + 224, 48 : 48 + 224]
    np.testing.assert_array_equal(_imagenet_crops.central(jpeg, 224), expected)


@pytest.mark.parametrize("shape", [(60, 200), (200, 60), (1, 1), (31, 31)])
def test_any_image_is_cropped_to_size(shape):
    jpeg = _jpeg(*shape)
    assert _imagenet_crops.central(jpeg, SIZE).shape == (SIZE, SIZE, 3)
    for seed in range(4):
        image = _imagenet_crops.random(jpeg, SIZE, tf.constant([seed, 1])).numpy()
        assert image.shape == (SIZE, SIZE, 3)
        assert image.min() >= 0
        assert image.max() <= 255


def test_random_crops_show_at_least_the_least_area_and_mirror_half_of_the_time():
    # A ramp shows which part was taken: its slope is the crop's share of the width.
    ramp = np.broadcast_to(np.linspace(0, 255, 256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    jpeg = tf.io.encode_jpeg(ramp, quality=100).numpy()
    widths, mirrored = [], 0
    for seed in range(60):
        image = _imagenet_crops.random(jpeg, 64, tf.constant([seed, 7])).numpy()
        difference = image[:, -1].mean() - image[:, 0].mean()
        widths.append(abs(difference) / 255)
        mirrored += difference < 0
    # Area ≥ 8 % and aspect ≥ 3/4: width ≥ sqrt(0.08 · 0.75) = 0.245, less 5 % for JPEG and edges.
    assert min(widths) >= 0.245 - 0.05
    assert max(widths) > 0.7
    assert 15 <= mirrored <= 45  # binomial: 30 ± 4 standard deviations of 3.9


def test_both_sets_of_keys_are_known_and_labels_start_at_0(tmp_path):
    jpeg = _jpeg(80, 90)
    ours, theirs = tmp_path / "a" / "train-00000-of-00001", tmp_path / "b" / "train-00000-of-00001"
    _write(ours, {"image": jpeg, "label": 0}, {"image": jpeg, "label": 999})
    _write(
        theirs,
        {"image/encoded": jpeg, "image/class/label": 1},
        {"image/encoded": jpeg, "image/class/label": 1000},
    )
    for path in (ours, theirs):
        split = read_records([path], image_size=SIZE, augment=False)
        np.testing.assert_array_equal(_arrays(split.batches(2))[1], [0, 999])


def test_imagenet_is_found_in_every_layout(tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet, "TENSORFLOW_DATASETS", tmp_path / "none")
    jpeg = _jpeg(260, 300)
    layouts = {
        "plain": ("", "{}-00000-of-00001"),
        "tfds": ("imagenet2012/5.1.0", "imagenet2012-{}.tfrecord-00000-of-00001"),
        "version": ("5.0.0", "imagenet2012-{}.tfrecord-00000-of-00001"),
    }
    for name, (inner, pattern) in layouts.items():
        for split, count in (("train", 3), ("validation", 2)):
            path = tmp_path / name / "imagenet" / inner / pattern.format(split)
            _write(path, *({"image": jpeg, "label": 7} for _ in range(count)))
        dataset = zoo.load_dataset("imagenet", tmp_path / name)
        assert (len(dataset.train), len(dataset.test)) == (3, 2)
        assert dataset.input_shape == (224, 224, 3)
        assert len(dataset.classes) == 1000
        assert dataset.validation is None
        assert len(dataset.sha256) == 64


def test_without_imagenet_one_line_says_where_to_put_what(tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet, "TENSORFLOW_DATASETS", tmp_path / "none")
    with pytest.raises(OnebitError) as caught:
        zoo.load_dataset("imagenet", tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path / "imagenet") in message
    assert "train-00000-of-01024" in message


def test_a_missing_file_of_the_sequence_is_named(tmp_path):
    write_noise(tmp_path, "train", 1, files=3)
    (tmp_path / "noise-train.tfrecord-00001-of-00003").unlink()
    with pytest.raises(OnebitError, match="lacks 1 of 3 train files, first number 00001"):
        find_records([tmp_path], "train")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused_by_name(tmp_path, keep):
    (path,) = write_noise(tmp_path, "train", 1, files=1)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(OnebitError, match="not a complete TFRecord file") as caught:
        count_records(path)
    assert str(path) in str(caught.value)


def _dataset(folder):
    train, test = (
        read_records(write_noise(folder, split, 6), image_size=SIZE, augment=split == "train")
        for split in ("train", "validation")
    )
    return Dataset("noise", tuple("abcd"), train, None, test)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _without_images(path):
    _write(path, *({"image": b"no image", "label": 1} for _ in range(6)))


def test_a_whole_data_set_passes(tmp_path):
    for split in _dataset(tmp_path).splits:
        split.require_whole()


@pytest.mark.parametrize("damage", [_flip, _without_images])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_record_ends_the_training_in_one_line(tmp_path, monkeypatch, split, damage):
    dataset = _dataset(tmp_path)
    monkeypatch.setattr(inputs, "load_dataset", lambda *_: dataset)
    path = getattr(dataset, split).files[1]
    damage(path)
    options = {"layers": 1, "units": 4}
    recipe = Recipe("float_mlp", "noise", name="x", epochs=1, batch_size=4, options=options)
    with pytest.raises(OnebitError, match=f"{path.name} is damaged; write or copy it again$"):
        zoo.train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / CARD).exists()


def test_a_damaged_record_among_the_first_is_one_line(tmp_path):
    dataset = _dataset(tmp_path)
    _flip(dataset.test.files[0])
    with pytest.raises(OnebitError, match=f"{dataset.test.files[0].name} is damaged"):
        dataset.test.first(12)


def test_other_errors_of_tensorflow_stay_what_they_are(noise):
    with pytest.raises(tf.errors.InvalidArgumentError), naming_damage(_split(noise), None):
        tf.reshape(tf.zeros(3), [2])


def test_records_with_other_keys_are_refused(tmp_path):
    path = tmp_path / "train-00000-of-00001"
    _write(path, {"picture": b"x", "label": 1})
    with pytest.raises(OnebitError, match="has records without image and label"):
        read_records([path], image_size=SIZE, augment=True)


def test_the_noise_says_that_it_is_noise_and_is_the_same_each_time():
    one, two = (zoo.load_dataset("noise_records") for _ in range(2))
    assert one.name == "noise_records"
    assert one.sha256 == two.sha256
    np.testing.assert_array_equal(one.test.first(16).images, two.test.first(16).images)
