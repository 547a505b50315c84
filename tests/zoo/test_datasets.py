import gzip
import hashlib
import shutil

import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError, UsageError
from onebit.keras import keras
from zoo.datasets import Split, data_folder
from zoo.datasets import mnist as mnist_module
from zoo.datasets._idx import TEST_FILES, TRAIN_FILES, read_idx

NAMES = ("mnist", "fashion_mnist")


@pytest.fixture(scope="module")
def mnist_5k():
    return zoo.load_dataset("mnist_5k")


def test_mnist_5k_splits_the_digits_evenly(mnist_5k):
    assert mnist_5k.train.images.shape == (4000, 28, 28, 1)
    assert mnist_5k.test.images.shape == (1000, 28, 28, 1)
    assert mnist_5k.validation is None
    assert mnist_5k.input_shape == (28, 28, 1)
    np.testing.assert_array_equal(np.bincount(mnist_5k.train.labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(mnist_5k.test.labels), [100] * 10)


def test_digits_8x8_splits_every_digit_once():
    digits = zoo.load_dataset("digits_8x8")
    train, test = digits.train, digits.test
    assert train.images.shape == (1437, 8, 8, 1)
    assert test.images.shape == (360, 8, 8, 1)
    assert train.images.dtype == np.uint8
    assert train.images.max() == 240
    counts = np.bincount(train.labels) + np.bincount(test.labels)
    # The counts that scikit-learn's page of the data set gives.
    np.testing.assert_array_equal(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])


def test_mnist_5k_is_the_same_everywhere(mnist_5k):
    # Recorded when the split was made: another split would make accuracies incomparable.
    assert mnist_5k.sha256 == "52c7770b8fcfcc2a00842c587b179ffa97e26d66f36baa481df89a52470bf88d"


def test_mnist_5k_shares_no_image_between_train_and_test(mnist_5k):
    train = {image.tobytes() for image in mnist_5k.train.images}
    assert not any(image.tobytes() in train for image in mnist_5k.test.images)


def test_folds_of_mnist_5k_test_each_digit_once_and_begin_with_mnist_5k(mnist_5k):
    folds = [zoo.load_dataset(f"mnist_5k_fold_{number}") for number in range(1, 6)]
    assert folds[0].sha256 == mnist_5k.sha256
    tested = [image.tobytes() for fold in folds for image in fold.test.images]
    assert len(tested) == len(set(tested)) == 5000
    for fold in folds:
        assert len(fold.train) == 4000
        assert not {image.tobytes() for image in fold.train.images} & {
            image.tobytes() for image in fold.test.images
        }
        np.testing.assert_array_equal(np.bincount(fold.test.labels), [100] * 10)


@pytest.fixture
def idx_folder(tmp_path, write_idx):
    """A folder of data sets with 12 training and 4 test images in both sets."""
    generator = np.random.default_rng(8)
    for name in NAMES:
        for files, count in ((TRAIN_FILES, 12), (TEST_FILES, 4)):
            images = generator.integers(256, size=(count, 5, 7))
            write_idx(tmp_path / name / files[0], images)
            write_idx(tmp_path / name / files[1], np.arange(count) % 10)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_idx_files_are_read_and_the_last_images_kept_for_validation(name, idx_folder):
    dataset = zoo.load_dataset(name, idx_folder)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [10, 2, 4]
    images = read_idx(idx_folder / name / TRAIN_FILES[0], 3)
    np.testing.assert_array_equal(dataset.train.images[..., 0], images[:10])
    np.testing.assert_array_equal(dataset.validation.images[..., 0], images[10:])
    np.testing.assert_array_equal(dataset.validation.labels, [0, 1])
    assert len(dataset.classes) == 10


def test_compressed_idx_files_give_the_same_data_set(idx_folder):
    plain = zoo.load_dataset("mnist", idx_folder).sha256
    for path in (idx_folder / "mnist").iterdir():
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert zoo.load_dataset("mnist", idx_folder).sha256 == plain


def test_another_pixel_gives_another_hash(idx_folder):
    before = zoo.load_dataset("mnist", idx_folder).sha256
    path = idx_folder / "mnist" / TEST_FILES[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert zoo.load_dataset("mnist", idx_folder).sha256 != before


def test_the_environment_names_the_data_folder(idx_folder, monkeypatch):
    monkeypatch.setenv("ONEBIT_DATA", str(idx_folder))
    assert data_folder() == idx_folder
    assert len(zoo.load_dataset("mnist").test) == 4
    monkeypatch.delenv("ONEBIT_DATA")
    assert data_folder().parts[-2:] == (".onebit", "data")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "no IDX file"),
        (lambda content: b"\x1f\x8b" + content[2:], "no IDX file of bytes: it starts with 1f 8b"),
        (lambda content: content[:2] + b"\x0d" + content[3:], "no IDX file of bytes"),
        (lambda content: content[:3] + b"\x01" + content[4:], "has 1 dimensions, not 3"),
        (lambda content: content[:10], "ends within its header"),
        (lambda content: content[:-1], "holds 139 values where its header says 4 × 5 × 7"),
        (lambda content: content + b"\0", "holds 141 values"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(idx_folder, damage, message):
    path = idx_folder / "mnist" / TEST_FILES[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OnebitError, match=message) as caught:
        zoo.load_dataset("mnist", idx_folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 20])
def test_a_truncated_gzip_file_is_refused_by_name(idx_folder, keep):
    path = idx_folder / "mnist" / TEST_FILES[0]
    compressed = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_name(path.name + ".gz").write_bytes(compressed[:keep] or b"not gzip at all")
    with pytest.raises(OnebitError, match=r"cannot read .*t10k-images-idx3-ubyte\.gz"):
        zoo.load_dataset("mnist", idx_folder)


def test_labels_must_fit_images_and_classes(idx_folder, write_idx):
    path = idx_folder / "mnist" / TEST_FILES[1]
    write_idx(path, np.arange(3))
    with pytest.raises(OnebitError, match="4 images but 3 labels"):
        zoo.load_dataset("mnist", idx_folder)
    write_idx(path, np.array([0, 1, 2, 10]))
    with pytest.raises(OnebitError, match="label 10 but 10 classes"):
        zoo.load_dataset("mnist", idx_folder)


@pytest.fixture
def offline(monkeypatch):
    def fail(*arguments, **options):
        raise Exception("URL fetch failure: None -- unreachable\nmore")  # as Keras raises it

    monkeypatch.setattr(keras.utils, "get_file", fail)


@pytest.fixture
def published(idx_folder, monkeypatch):
    """MNIST, small, as its publisher would have it: fetched addresses are collected."""
    fetched = []

    def get_file(name, origin, cache_dir, cache_subdir, file_hash):
        print("Downloading data from somewhere")
        fetched.append(origin)
        source = idx_folder / "mnist" / origin.rpartition("/")[2].removesuffix(".gz")
        content = gzip.compress(source.read_bytes(), mtime=0)
        if hashlib.sha256(content).hexdigest() != file_hash:
            raise ValueError("hash mismatch")
        (cache_dir / name).write_bytes(content)

    hashes = {
        file: hashlib.sha256(
            gzip.compress((idx_folder / "mnist" / file).read_bytes(), mtime=0)
        ).hexdigest()
        for file in (*TRAIN_FILES, *TEST_FILES)
    }
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setattr(mnist_module, "SHA256", hashes)
    return fetched


@pytest.mark.usefixtures("offline")
def test_a_missing_file_among_others_is_named(idx_folder):
    (idx_folder / "mnist" / TRAIN_FILES[1]).unlink()
    with pytest.raises(OnebitError, match=r"put train-labels-idx1-ubyte\.gz from https"):
        zoo.load_dataset("mnist", idx_folder)


def test_an_interrupted_download_goes_on(published, idx_folder, tmp_path):
    whole = zoo.load_dataset("mnist", idx_folder).sha256
    (tmp_path / "half" / "mnist").mkdir(parents=True)
    for file in TRAIN_FILES:
        shutil.copy(idx_folder / "mnist" / file, tmp_path / "half" / "mnist")
    assert zoo.load_dataset("mnist", tmp_path / "half").sha256 == whole
    assert [url.rpartition("/")[2] for url in published] == [f"{name}.gz" for name in TEST_FILES]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", NAMES)
def test_without_files_and_network_one_line_says_where_to_put_what(name, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.datasets.fashion_mnist.DEBIAN_FOLDER", tmp_path / "absent")
    with pytest.raises(OnebitError) as caught:
        zoo.load_dataset(name, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert all(f"{file}.gz" in message for file in (*TRAIN_FILES, *TEST_FILES))
    assert str(tmp_path / name) in message
    assert "unreachable" in message


def test_without_files_the_download_is_used_and_reports_to_stderr(
    published, idx_folder, tmp_path, capsys
):
    dataset = zoo.load_dataset("mnist", tmp_path / "new")
    assert dataset.sha256 == zoo.load_dataset("mnist", idx_folder).sha256
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Downloading" in printed.err
    zoo.load_dataset("mnist", tmp_path / "new")
    assert len(published) == 4


@pytest.mark.usefixtures("published")
def test_a_download_with_another_hash_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(mnist_module.SHA256, TRAIN_FILES[0], "0" * 64)
    with pytest.raises(OnebitError, match="hash mismatch"):
        zoo.load_dataset("mnist", tmp_path / "new")
    assert not list((tmp_path / "new").rglob("*.gz"))


def test_debians_copy_of_fashion_mnist_is_found(idx_folder, tmp_path, monkeypatch):
    debian = tmp_path / "debian"
    shutil.move(idx_folder / "fashion_mnist", debian)
    monkeypatch.setattr("zoo.datasets.fashion_mnist.DEBIAN_FOLDER", debian)
    assert len(zoo.load_dataset("fashion_mnist", idx_folder).test) == 4


def test_an_unknown_data_set_raises_with_near_matches():
    with pytest.raises(UsageError, match="there is no data set 'mnist5k'; did you mean mnist_5k"):
        zoo.load_dataset("mnist5k")


def test_a_split_refuses_what_is_no_labelled_image():
    images, labels = np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"uint8 \[N, H, W, C\]"):
        Split(images.astype(np.float32), labels)
    with pytest.raises(ValueError, match="beside 2 images"):
        Split(images, labels[:1])
