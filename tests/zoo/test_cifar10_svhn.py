import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import savemat

import zoo
from onebit.errors import OnebitError
from onebit.keras import keras
from zoo.datasets import cifar10, svhn
from zoo.datasets.preprocessing import Preprocessing
from zoo.runs.run import PREPROCESSING

RANDOM = np.random.default_rng(6)


def _batch(count, seed):
    random = np.random.default_rng(seed)
    images = random.integers(256, size=(count, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(10, size=count, dtype=np.uint8)
    records = np.concatenate(
        [labels[:, None], images.transpose(0, 3, 1, 2).reshape(count, -1)], axis=1
    )
    return images, labels, records.tobytes()


@pytest.fixture
def cifar_files():
    """Name → (images, labels, bytes) of six batch files of four images."""
    names = [*cifar10.TRAIN_FILES, *cifar10.TEST_FILES]
    return {name: _batch(4, seed) for seed, name in enumerate(names)}


@pytest.mark.parametrize("under", ["", cifar10.UNPACKED])
def test_unpacked_batches_are_read_in_order(under, cifar_files, tmp_path):
    folder = tmp_path / "cifar10" / under
    folder.mkdir(parents=True)
    for name, (_, _, content) in cifar_files.items():
        (folder / name).write_bytes(content)
    dataset = zoo.load_dataset("cifar10", tmp_path)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [18, 2, 4]
    train = np.concatenate([cifar_files[name][0] for name in cifar10.TRAIN_FILES])
    np.testing.assert_array_equal(dataset.train.images, train[:18])
    np.testing.assert_array_equal(dataset.validation.images, train[18:])
    np.testing.assert_array_equal(dataset.test.labels, cifar_files["test_batch.bin"][1])


def test_the_archive_is_read_without_being_unpacked(cifar_files, tmp_path, monkeypatch):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    path = folder / cifar10.ARCHIVE.name
    with tarfile.open(path, "w:gz") as archive:
        for name, (_, _, content) in cifar_files.items():
            member = tarfile.TarInfo(f"{cifar10.UNPACKED}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(OnebitError, match="is not the published file: its SHA-256"):
        zoo.load_dataset("cifar10", tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, sha256=digest))
    dataset = zoo.load_dataset("cifar10", tmp_path)
    np.testing.assert_array_equal(dataset.test.images, cifar_files["test_batch.bin"][0])
    assert sorted(folder.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes"),
        (bytes(3074), "has 3074 bytes, which is not a multiple of 3073"),
        (bytes([10]) + bytes(3072), "has a label 10 but there are 10 classes"),
    ],
)
def test_a_damaged_batch_raises(content, message):
    with pytest.raises(OnebitError, match=message):
        cifar10.parse_records(content, "data_batch_1.bin")


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_what_cannot_be_downloaded_is_said_with_where_to_put_it(name, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", fail)
    with pytest.raises(OnebitError, match=rf"{name} is not here and cannot .*put .* into .*{name}"):
        zoo.load_dataset(name, tmp_path)
    assert not list((tmp_path / name).glob("*"))


def test_svhn_takes_train_and_extra_and_ten_is_zero(tmp_path, monkeypatch):
    folder = tmp_path / "svhn"
    folder.mkdir()
    counts = {"TRAIN": 410 * 10, "EXTRA": 205 * 10, "TEST": 30}
    arrays = {}
    for part, count in counts.items():
        remote = getattr(svhn, part)
        images = RANDOM.integers(256, size=(32, 32, 3, count), dtype=np.uint8)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)
        arrays[part] = images, labels % 10
        savemat(folder / remote.name, {"X": images, "y": labels[:, None]})
        digest = hashlib.sha256((folder / remote.name).read_bytes()).hexdigest()
        monkeypatch.setattr(svhn, part, replace(remote, sha256=digest))
    dataset = zoo.load_dataset("svhn", tmp_path)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [150, 6000, 30]
    np.testing.assert_array_equal(np.bincount(dataset.validation.labels), [600] * 10)
    np.testing.assert_array_equal(dataset.test.labels, arrays["TEST"][1])
    np.testing.assert_array_equal(dataset.test.images[3], arrays["TEST"][0][..., 3])
    # The first 400 of each digit lie in front of number 4000.
    np.testing.assert_array_equal(dataset.train.images[0], arrays["TRAIN"][0][..., 4000])


def test_a_file_that_is_no_matlab_file_raises(tmp_path):
    (tmp_path / "train_32x32.mat").write_bytes(b"<html>not found</html>" * 20)
    with pytest.raises(OnebitError, match=r"cannot read .*train_32x32.mat: .*; download it again"):
        svhn.read_mat(tmp_path / "train_32x32.mat")


@pytest.mark.parametrize(
    "recipe",
    [
        # Both train a network of six convolutions; the whitening takes half a minute too.
        pytest.param("binary_connect_cnn_cifar10", marks=pytest.mark.slow),
        pytest.param("binary_net_cnn_cifar10", marks=pytest.mark.slow),
    ],
)
def test_a_run_keeps_what_its_preprocessing_was_fitted_with(
    recipe, cifar_files, tmp_path, monkeypatch
):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for name, (_, _, content) in cifar_files.items():
        (folder / name).write_bytes(content)
    fitted, fit = [], Preprocessing.fit

    def recorded(self, images):
        fitted.append((images, fit(self, images)))
        return fitted[0][1]

    monkeypatch.setattr(Preprocessing, "fit", recorded)
    settings = {"epochs": "1", "width": "8"}
    zoo.train(zoo.resolve_recipe(recipe, settings, smoke=True), tmp_path / "run", data=tmp_path)
    run = zoo.load_run(tmp_path / "run")
    ((images, expected),) = fitted
    train = zoo.load_dataset("cifar10", tmp_path).train
    np.testing.assert_array_equal(images, train.images[: len(images)])
    np.testing.assert_array_equal(
        run.preprocessing(run.samples.images), expected(run.samples.images)
    )
    assert zoo.evaluate(run).agrees
    if not run.preprocessing.arrays:
        assert not (tmp_path / "run" / PREPROCESSING).exists()
        return
    (tmp_path / "run" / PREPROCESSING).write_bytes(b"other")
    with pytest.raises(OnebitError, match=r"preprocessing.npz is not the file that card.json"):
        zoo.load_run(tmp_path / "run")
